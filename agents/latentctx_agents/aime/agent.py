"""What imitates a task, as one thing on disk: a world model, a policy at its states, and what it is to be shown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from torch import nn

from latentctx_agents.aime.acting import LatentPolicy
from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.film import film, viewed
from latentctx_agents.model_folder import read_model, write_model
from latentctx_agents.returns import EVALUATION_SEED, side_by_side, sum_rewards
from latentctx_agents.world_models.folder import facts_of, model_of
from latentctx_agents.world_models.model import WorldModel
from latentctx_agents.world_models.windows import frames_of
from latentctx_datasets import holds_frames, library, load, open_frames
from latentctx_envs.encoders.latent.sensors import PIXELS, Observed
from latentctx_envs.registration import ids

PARTS = {"model": "world_model.safetensors"}  # weights that are a file of their own


@dataclass(frozen=True, kw_only=True)
class AgentCard:
    """The world of the demonstrations, and what happens, shows and counts there as it did in them."""

    # "" where nothing here can make it: a world from elsewhere that had arguments, wrappers or a time limit of its own, or none
    env_id: str
    env_kwargs: dict[str, Any] = field(default_factory=dict)  # what is seen among them

    @classmethod
    def of(cls, dataset_id: str, model: WorldModel) -> "AgentCard":
        """That of demonstrations, for a world model that sees them."""
        body, observed = library.body_of(dataset_id), model.sensors.observed
        if body.env_id not in ids():
            plain = not body.env_kwargs and body.env_id != library.UNNAMED and observed != PIXELS
            return cls(env_id=body.env_id if plain else "")
        world = library.measured_in(dataset_id)
        seen = view_of(observed, model.config.image_size)
        if observed == PIXELS and holds_frames(load(dataset_id)):  # of their own making
            seen |= open_frames(dataset_id).view.arguments()
        return cls(env_id=world.env_id, env_kwargs={**world.env_kwargs, **seen})

    @property
    def is_made_here(self) -> bool:
        """Whether the world is one of this project, or one without arguments that is registered in this process, by whoever."""
        return self.env_id in ids() or (self.env_id in gym.registry and not self.env_kwargs)


class AimeAgent(nn.Module):
    """A world model and a policy at its states; `acting` is a `Policy` for worlds as `make_env` makes them.

    Args:
        model: filters what is seen.
        policy: acts at the model's states.
        card: where.
    """

    def __init__(self, model: WorldModel, policy: TanhPolicy, card: AgentCard) -> None:
        super().__init__()
        self.model, self.policy, self.card = model, policy, card

    def acting(self, seed: int = 0, *, sample_state: bool = True) -> LatentPolicy:
        """What acts: the policy's mode at filtered states.

        Args:
            seed: of the draws of states.
            sample_state: draw them, as the paper does; else take their means.
        """
        return LatentPolicy(self.model, self.policy, sample_state=sample_state, seed=seed)

    def make_env(self, **kwargs: Any) -> gym.Env[Any, Any]:
        """An environment whose observations this agent takes; `kwargs` are further arguments, such as `render_mode`.

        Raises:
            ValueError: it is not known how it is made.
        """
        self._refuse_unmade()
        return gym.make(self.card.env_id, **{**self.card.env_kwargs, **kwargs})

    def returns(self, episodes: int = 100, *, seed: int = EVALUATION_SEED, draws: int = 0) -> np.ndarray:
        """Returns of episodes side by side, float64 (episodes,).

        Args:
            episodes: how many.
            seed: of the first; the next ones have the next seeds.
            draws: seed of the draws of states.

        Raises:
            ValueError: it is not known how the world is made.
        """
        self._refuse_unmade()
        env = side_by_side(self.card.env_id, episodes, **self.card.env_kwargs)
        found = sum_rewards(env, self.acting(draws), seed)
        env.close()
        return found

    def _refuse_unmade(self) -> None:
        if self.card.is_made_here:
            return
        if self.card.env_id:
            remedy = f"{self.card.env_id} is not registered: import the module that does so, or"
        else:
            remedy = "make it as its demonstrations were recorded, and"
        raise ValueError(
            f"this agent imitates in a world that is not made here: {remedy} act by load_agent(folder)[0].acting()."
        )

    @property
    def title(self) -> str:
        """Of films."""
        return self.card.env_id.removeprefix("LatentCtx-")

    def measured(self, episodes: int, **options: Any) -> dict[str, Any]:
        """The mean return, as plain values that commands print; arguments are those of `returns`."""
        returns = self.returns(episodes, **options)
        mean, std = (round(float(value), 1) for value in (returns.mean(), returns.std()))
        return {"world": self.card.env_id, "return": mean, "std": std, "episodes": episodes}

    def film(self, title: str, *, seed: int = EVALUATION_SEED) -> np.ndarray:
        """Frames of one episode, uint8 (t, h, w, 3)."""
        return film(self.acting(), viewed(self.make_env), title, {"seed": seed})


def view_of(observed: Observed, image_size: int) -> dict[str, Any]:
    """Keyword arguments of environments that show what a learner in this setting sees."""
    if observed != PIXELS:
        return {"observation": observed}
    return {"observation": PIXELS, **frames_of(image_size).arguments()}


def save_agent(
    agent: AimeAgent, directory: Path, training: Mapping[str, Any], *, world_model: Path | None = None
) -> None:
    """Write an agent, replacing the directory in one move.

    Args:
        agent: what acts.
        directory: where to; it can be moved and copied alone.
        training: JSON values of how it came about.
        world_model: folder of its world model, if there is one: the weights lie on the disk once.

    Raises:
        ValueError: the directory holds something else.
    """
    facts = {
        "world_model": facts_of(agent.model),
        "hidden": list(agent.policy.hidden),
        "card": asdict(agent.card),
    }
    write_model(agent, directory, facts, training, parts=PARTS, beside=world_model)


def load_agent(directory: Path) -> tuple[AimeAgent, dict[str, Any]]:
    """An agent and the record of its training.

    Raises:
        ValueError: files are missing or damaged.
    """

    def make(facts: dict[str, Any]) -> AimeAgent:
        model, card = model_of(facts["world_model"]), AgentCard(**facts["card"])
        if ":" in card.env_id:  # Gymnasium would import what it names
            raise ValueError(f"{card.env_id!r} is no world of this project")
        return AimeAgent(model, TanhPolicy(model.config.features, model.action_dim, facts["hidden"]), card)

    return read_model(directory, "AIME agent", make, parts=PARTS)
