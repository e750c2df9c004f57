"""What the online stage ends with, as one module that is kept on disk and acts in any world of its frames and actions."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from latentctx_agents.model_folder import read_model, write_model
from latentctx_agents.pvdr.action_metric import ActionMetric
from latentctx_agents.pvdr.alignment import AlignmentPolicy
from latentctx_agents.pvdr.distance import Near, TokenDistance, distance_of
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.foresight import Foresight
from latentctx_agents.pvdr.planning import Planner
from latentctx_agents.pvdr.reading import Reads, reading_of
from latentctx_envs.encoders.dynamics.config import DynamicsConfig
from latentctx_envs.rendering import RenderProfile

AHEAD = 5  # frames of a film that the goal lies ahead, about as far as a plan looks
SEARCHED = 9  # frames of a film, from the last nearest one on, among which the nearest is looked for


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What an agent is made of."""

    model: DynamicsConfig
    near: Near  # the distance that plans are chosen by
    reads: Reads  # what the alignment module sees of a plan
    plans: int  # latents that are drawn for each decision
    low: tuple[float, ...]  # least numbers of an action
    high: tuple[float, ...]  # largest ones
    task: str  # that it was trained in
    stride: int  # as of `OnlineConfig`
    render_profile: RenderProfile  # of the frames

    def __post_init__(self) -> None:
        """Accept JSON's dictionary and lists."""
        if isinstance(self.model, dict):
            object.__setattr__(self, "model", DynamicsConfig(**self.model))
        for name in ("low", "high"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))


class GoalAgent(nn.Module):
    """A video model, places, the colours of tokens and the alignment module.

    Args:
        config: sizes and choices; weights are as they are made.
    """

    colours: Tensor

    def __init__(self, config: AgentConfig) -> None:
        super().__init__()
        self.config = config
        self.model = VideoModel(config.model)
        self.metric = ActionMetric(self.model.tokenizer, len(config.low))
        self.register_buffer("colours", torch.zeros(config.model.tokenizer.codes, 3))
        reading = reading_of(self.model, config.reads, self.metric)
        self.policy = AlignmentPolicy(
            spaces.Box(-np.inf, np.inf, (reading.size + config.model.future,), np.float32),
            spaces.Box(np.array(config.low, np.float32), np.array(config.high, np.float32)),
            lambda _: 0.0,
            actor_inputs=reading.size,
            outright=reading.outright,
            trunk=reading.trunk,
        )

    @torch.inference_mode()
    def straight(self, tokens: Tensor, goal: Tensor) -> np.ndarray:
        """The way between frames of these tokens, (b, 64) each, as far as actions go, float32 (b, a)."""
        way = self.metric(goal) - self.metric(tokens)
        low, high = (np.array(ends, np.float32) for ends in (self.config.low, self.config.high))
        return np.clip(way.numpy(), low, high)

    def foresight(self, count: int, rng: np.random.Generator, plans: int | None = None) -> Foresight:
        """Plans for `count` environments; the generator draws latents, as many as in training or `plans`."""
        colours = TokenDistance(self.model.tokenizer, self.colours)
        distance = distance_of(self.config.near, colours, self.metric)
        planner = Planner(self.model.dynamics, distance, count=plans or self.config.plans, rng=rng)
        return Foresight(self.model, planner, reading_of(self.model, self.config.reads, self.metric), count)


class GoalPolicy:
    """Acts towards pictures of goals, or along a film of a demonstration, as `latentctx_envs.rollout` asks policies.

    An episode begins after `reset`, in each environment whose goal's picture is another one than before, and where the
    info of a vector with autoreset "SameStep" says that one ended. Whoever steps another vector himself, and keeps a goal,
    says which environments begin: `policy.reset(ended)`, with what ended in the step before (Stable-Baselines3's
    `episode_start`).

    Args:
        agent: what acts.
        seed: of the latents that are drawn, over all episodes.
        plans: drawn for each decision; None for as many as in training.
        straight: go straight along the learned distance instead of planning; the video model is looked through only.
        film: called at the beginning of an episode with its frame and its goal, uint8 (64, 64, 3) each; the frames
            uint8 (t, 64, 64, 3) of a demonstration without actions, one a decision, or imagined ones
            (`Imagination.film`). The goal is then the frame that lies `AHEAD` of the one where the body is, of one
            environment.
    """

    def __init__(
        self,
        agent: GoalAgent,
        seed: int = 0,
        *,
        plans: int | None = None,
        straight: bool = False,
        film: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        if plans is not None and plans < 1:
            raise ValueError(f"plans start at 1; got {plans}.")
        self._agent, self._rng, self._plans = agent.eval(), np.random.default_rng(seed), plans
        self._straight, self._film = straight, film
        self._foresight: Foresight | None = None
        self._followed: Followed | None = None
        self._goals = np.zeros((0, 64, 64, 3), np.uint8)  # of the running episodes
        self._starts = np.array(False)  # which of them begin next

    def reset(self, starts: np.ndarray | None = None) -> None:
        """Episodes begin with the next observation: of all environments, or of those where `starts`, bool (b,), is True."""
        if starts is None:
            self._foresight = self._followed = None
        else:
            self._starts = np.asarray(starts, bool)

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Actions float32 (a,) or (b, a).

        Args:
            observation: "observation" and "desired_goal", uint8 (64, 64, 3) or (b, 64, 64, 3) each.
            info: of a vector of environments; "_final_obs", where it is there, says which began an episode.

        Raises:
            ValueError: other observations, or several environments and one film.
        """
        frames, goals = _pictures(observation)
        many, goals = (part.reshape(-1, 64, 64, 3) for part in (frames, goals))
        begun = self._starts | np.asarray(info.get("_final_obs", False))
        self._starts = np.array(False)
        if self._goals.shape == goals.shape:
            fresh = np.flatnonzero((self._goals != goals).any(axis=(1, 2, 3)) | begun)
        else:
            fresh = np.arange(len(many))
        if self._foresight is None or len(fresh) == len(many):
            seen = self._begin(many, goals)
        else:
            seen = self._foresight
            seen.follow(seen.tokens(many))
            if len(fresh):
                seen.begin(fresh, many[fresh], goals[fresh])
        self._goals = goals.copy()
        if self._followed is not None:
            seen.goal = self._followed.aim(seen.context[:, -1])
        if self._straight:
            actions = self._agent.straight(seen.context[:, -1], seen.goal)
        else:
            actions, _ = self._agent.policy.predict(seen.look(), deterministic=True)
        return actions.reshape(*frames.shape[:-3], -1)

    def _begin(self, frames: np.ndarray, goals: np.ndarray) -> Foresight:
        self._foresight = seen = self._agent.foresight(len(frames), self._rng, self._plans)
        seen.begin(np.arange(len(frames)), frames, goals)
        if self._film is not None:
            if len(frames) > 1:
                raise ValueError(f"a film is followed in one environment; got {len(frames)}.")
            self._followed = Followed(self._agent.metric, seen.tokens(self._film(frames[0], goals[0])))
        return seen

    def aimed(self) -> np.ndarray:
        """The pictures that the last actions went for, as tokens draw them, uint8 (b, 64, 64, 3)."""
        return self._agent.model.tokenizer.pixels(self._seen().goal).numpy()

    def planned(self) -> np.ndarray:
        """Where the plans of the last actions lead, uint8 (b, 64, 64, 3); what was aimed at where nothing is planned."""
        if self._straight:
            return self.aimed()
        return self._agent.model.tokenizer.pixels(self._seen().plan.future[:, -1]).numpy()

    def _seen(self) -> Foresight:
        if self._foresight is None:
            raise ValueError("nothing is planned before the first observation.")
        return self._foresight


class Followed:
    """A film, and how far along it a body is.

    Args:
        metric: tells places.
        tokens: of the film's frames, int64 (t, 64).
    """

    def __init__(self, metric: ActionMetric, tokens: Tensor) -> None:
        self._metric, self._tokens, self._at = metric, tokens, 0
        with torch.inference_mode():
            self._places = metric(tokens)

    @torch.inference_mode()
    def aim(self, tokens: Tensor) -> Tensor:
        """Tokens (1, 64) of the frame to go for, where the body's frame is `tokens` (1, 64)."""
        near = self._places[self._at : self._at + SEARCHED]
        self._at += int((near - self._metric(tokens)).norm(dim=-1).argmin())
        return self._tokens[[min(self._at + AHEAD, len(self._tokens) - 1)]]


def _pictures(observation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Frames and pictures of goals."""
    keys = ("observation", "desired_goal")
    if not isinstance(observation, Mapping) or not all(key in observation for key in keys):
        raise ValueError("an agent with goals as pictures sees a Dict with 'observation' and 'desired_goal'.")
    frames, goals = (np.asarray(observation[key]) for key in keys)
    fit = all(part.dtype == np.uint8 and part.shape[-3:] == (64, 64, 3) for part in (frames, goals))
    if not fit or frames.shape != goals.shape:
        raise ValueError(
            f"frames and goals must be uint8 (64, 64, 3); got {frames.dtype} {frames.shape} and {goals.dtype} {goals.shape}. "
            "Make the world with observation='pixels', goal='pixels' and image_size=64."
        )
    return frames, goals


def save_agent(agent: GoalAgent, directory: Path, training: Mapping[str, Any]) -> None:
    """Write an agent, replacing the directory in one move; `training` are JSON values of how it came about."""
    write_model(agent, directory, {"agent": asdict(agent.config)}, training)


def load_agent(directory: Path) -> tuple[GoalAgent, dict[str, Any]]:
    """An agent and the record of its training.

    Raises:
        ValueError: files are missing or damaged.
    """
    return read_model(directory, "goal agent", lambda facts: GoalAgent(AgentConfig(**facts["agent"])))
