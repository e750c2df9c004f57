"""How Dreamer and Plan2Explore are trained, by AIME's settings of them."""

import dataclasses
from dataclasses import dataclass, field

from latentctx_datasets.demonstrators.locomotion import ENV_IDS
from latentctx_envs.encoders.latent.config import QUICK as QUICK_MODEL
from latentctx_envs.encoders.latent.config import RSSM, WorldModelConfig


@dataclass(frozen=True, kw_only=True)
class DreamerConfig:
    """An agent that learns in imagination, for a task's reward or to see what it does not know.

    Raises:
        ValueError: there is no such task, or a number is out of range.
    """

    task: str = "walker-walk"  # its world; Plan2Explore does not look at the reward
    explore: bool = False  # Plan2Explore: the reward is the disagreement of an ensemble
    position: bool = False  # see positions alone instead of states
    model: WorldModelConfig = field(default_factory=lambda: QUICK_MODEL)
    rounds: int = 100  # of collecting and learning, the random ones included
    random_rounds: int = 1  # at the beginning, with uniform actions
    episodes: int = 10  # of a round, side by side, 500 decisions each
    first_updates: int = 100  # after the last random round
    updates: int = 100  # after each later round
    batch_size: int = 16
    length: int = 50  # observations of a window
    starts: int = 256  # states of a batch that imagination starts from; all if there are fewer
    horizon: int = 15  # imagined steps
    gamma: float = 0.99  # discount of a step
    lambda_: float = 0.95  # weight of longer returns
    regularisation: float = 1e-4  # weight of the policy's divergence from a wide one
    model_rate: float = 1e-3  # learning rates
    policy_rate: float = 3e-4
    value_rate: float = 3e-4
    clip: float = 100.0  # largest norm of each gradient
    ensemble: int = 5  # members, if it explores
    ensemble_hidden: int = 128  # width of their two hidden layers
    snapshots: int = 8  # agents kept, evenly over the training
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained in words."""
        if self.task not in ENV_IDS:
            raise ValueError(f"task must be one of {', '.join(ENV_IDS)}; got {self.task!r}.")
        counts = (
            self.random_rounds,
            self.episodes,
            self.batch_size,
            self.starts,
            self.horizon - 1,
            self.snapshots,
            self.length - 1,
        )
        if min(counts) < 1 or self.rounds < self.snapshots or self.ensemble < 2:
            raise ValueError(
                "random_rounds, episodes, batch_size, starts and snapshots start at 1, horizon, length and ensemble at 2, and there "
                f"are at least as many rounds as snapshots; got {self}."
            )


QUICK = DreamerConfig()
PAPER = DreamerConfig(
    model=RSSM, rounds=1000, random_rounds=5, episodes=1, batch_size=50, starts=2500, model_rate=3e-4, policy_rate=8e-5,
    value_rate=8e-5, ensemble_hidden=1024, snapshots=20,
)  # fmt: skip
"""The paper's counts, on states instead of pixels."""

EXPLORE = dataclasses.replace(QUICK, explore=True)
