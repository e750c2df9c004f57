"""Settings of the online stage."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from latentctx_agents.pvdr.action_metric import MetricConfig
from latentctx_agents.pvdr.distance import Near
from latentctx_agents.pvdr.evidence import EvidenceConfig
from latentctx_agents.pvdr.latent_actions import LatentActionConfig
from latentctx_agents.pvdr.planning_env import RewardConfig
from latentctx_agents.pvdr.reading import Reads
from latentctx_envs.rendering import RenderProfile

ENVS_APART = 9973  # between the environments of neighbouring seeds; no multiple comes near evaluations'
LARGEST_SEED = (2**32 - 1) // ENVS_APART  # the environments' are 32 bits
STRIDE = 1  # of who does not say


@dataclass(frozen=True, kw_only=True)
class OnlineConfig:
    """How a video model is adapted to a world and aligned with its actions.

    Raises:
        ValueError: a number is out of range.
    """

    task: str = "reach-v3"  # of LatentCtx-MetaWorldGoal-v0, or such as "visual-scene" of LatentCtx-OGBench-v0
    # of frames and goals; a model that saw the world's videos wants theirs
    render_profile: RenderProfile = "turbo"
    # frames of the world's videos that a decision lasts; that of the model's pretraining
    stride: int = STRIDE
    envs: int = 4  # side by side
    decisions: int = 6000  # in all environments together, after the random ones; 0 measures what these taught
    rollout: int = 150  # decisions of each environment between two updates
    random_episodes: int = 10  # with random actions, before everything
    plans: int = 16  # latents that are drawn for each decision; 1 acts on whatever the prior draws
    astray: float = 0.1  # share of decisions in training that keep a random latent
    spread: tuple[float, float] = (0.3, 0.1)  # of actions in training, at first and at last
    near: Near = "actions"  # the distance that plans are chosen by: learned from actions, of tokens, or both
    metric: MetricConfig = field(default_factory=MetricConfig)  # how the first of these is learned
    # what the alignment module sees of a plan: the way there in actions, the frames, or z
    reads: Reads = "way"
    freeze: Literal["last_layer", "none", "all"] = "last_layer"  # what of the posterior stays as pretrained
    reinforce: bool = True  # align by reinforcement as well, not by supervision alone
    rewards: RewardConfig = field(default_factory=RewardConfig)
    evidence: EvidenceConfig = field(default_factory=lambda: EvidenceConfig(warm_up=(0, 0)))
    tokenizer_steps: int = 600  # on the frames of the random episodes; then it stays as it is
    # supervision is for reads="plan" and "latent"; a "way" is an action already
    first_steps: tuple[int, int] = (300, 2000)  # of dynamics and of supervision, after the random episodes
    steps: tuple[int, int] = (50, 400)  # of both, after each rollout
    # latents and actions, drawn from all that was done, that supervision sees between two rollouts
    pairs: int = 4096
    batch_size: tuple[int, int] = (32, 256)  # windows of a step of either
    learning_rate: tuple[float, float, float] = (5e-4, 2e-4, 1e-3)  # of tokenizer, dynamics and supervision
    supervision: tuple[float, float] = (1.0, 1.0)  # shares of its learning rate at first and at last
    latent_actions: LatentActionConfig = field(default_factory=LatentActionConfig)  # of the baseline `lapo`
    evaluate_every: int = 1200  # decisions, in whole rollouts of all environments
    episodes: int = 20  # of each evaluation, without random choices of actions
    seed: int = 0

    def __post_init__(self) -> None:
        """Accept JSON's lists and refuse what cannot be run in words."""
        for name in ("spread", "first_steps", "steps", "batch_size", "learning_rate", "supervision"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        counts = (
            "stride",
            "envs",
            "random_episodes",
            "plans",
            "pairs",
            "evaluate_every",
            "episodes",
        )
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} starts at 1; got {getattr(self, name)}.")
        if self.rollout < 2:  # PPO brings advantages to deviation 1
            raise ValueError(f"rollout starts at 2; got {self.rollout}.")
        if min(self.batch_size) < 1:
            raise ValueError(f"batch_size start at 1; got {self.batch_size}.")
        for name in ("decisions", "tokenizer_steps", "first_steps", "steps", "supervision"):
            if not np.min(getattr(self, name)) >= 0:
                raise ValueError(f"{name} start at 0; got {getattr(self, name)}.")
        for name in ("spread", "learning_rate"):
            if not np.min(getattr(self, name)) > 0.0:
                raise ValueError(f"{name} must be above 0; got {getattr(self, name)}.")
        if not 0.0 <= self.astray <= 1.0:
            raise ValueError(f"astray lies in [0, 1]; got {self.astray}.")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"seed lies in 0 to {LARGEST_SEED}; got {self.seed}.")

    def with_stride(self, stride: int) -> Self:
        """The same for a model that was pretrained with this stride.

        Raises:
            ValueError: another one was asked for.
        """
        if self.stride not in (STRIDE, stride):
            raise ValueError(f"the model was pretrained with stride {stride}; got stride={self.stride}.")
        return replace(self, stride=stride)

    @property
    def first_seed(self) -> int:
        """Seed of the first environment; each further one has the next. No environment of two runs has the same."""
        return ENVS_APART * self.seed

    def changed(self, names: Collection[str]) -> dict[str, Any]:
        """Those of the options `names` that differ from the defaults, for rows of results: {"freeze": "none"}.

        Of groups each option by itself, {"metric.noise": 0.5}; several numbers as text. `metric.first_steps` is not among
        them: all rows say it, as "metric_steps".
        """
        usual = type(self)()
        found: dict[str, Any] = {}
        for name in names:
            found |= _differing(name, getattr(self, name), getattr(usual, name))
        found.pop("metric.first_steps", None)
        return found


def _differing(name: str, value: Any, usual: Any) -> dict[str, Any]:
    if value == usual:
        return {}
    if is_dataclass(value):
        parts = [(f.name, getattr(value, f.name), getattr(usual, f.name)) for f in fields(value)]
        return {k: v for part, *two in parts for k, v in _differing(f"{name}.{part}", *two).items()}
    return {name: ", ".join(map(str, value)) if isinstance(value, tuple) else value}
