"""How AIME goes on online, by the settings of its successor."""

import dataclasses
from dataclasses import dataclass, field

from latentctx_agents.aime import imitate
from latentctx_agents.aime.imitate import ImitationConfig

_FIRST_STEPS = 2000  # of imitation, before anything is collected


def _offline(base: ImitationConfig, rate: float) -> ImitationConfig:
    optimizer = dataclasses.replace(base.optimizer, steps=_FIRST_STEPS, learning_rate=rate)
    return dataclasses.replace(base, optimizer=optimizer)


QUICK_IMITATION = _offline(imitate.QUICK, 1e-3)
PAPER_IMITATION = _offline(imitate.PAPER, 3e-4)


@dataclass(frozen=True, kw_only=True)
class OnlineConfig:
    """A world model and a policy that learn on from what the policy does, with demonstrations but no reward.

    Raises:
        ValueError: a number is out of range.
    """

    # what is shown, windows and batches of everything, and the steps before anything is collected
    # its seed is that of the whole
    imitation: ImitationConfig = field(default_factory=lambda: QUICK_IMITATION)
    experience: str | None = None  # old data; None for what the world model learned from
    old_share: float = 0.5  # of the world model's batches that is old data
    rounds: int = 40  # of collecting and learning
    episodes: int = 2  # of a round, side by side, 500 decisions each
    updates: int = 100  # after each round
    surrogate_weight: float = 0.1  # w, of the value-gradient loss; 0.1 in AIME-v2, 1 in AIME-NoB
    regularisation: float = 1e-4  # of either loss' divergence of the policy from a wide one
    wide_std: float = 0.8742  # of the wide policy, before the tanh
    discriminator_hidden: tuple[int, ...] = (128, 128)  # widths of its hidden layers
    penalty: float = 10.0  # weight of the discriminator's gradient penalty
    starts: int = 256  # states of a batch that imagination starts from; all if there are fewer
    horizon: int = 15  # imagined steps
    gamma: float = 0.99  # discount of a step
    lambda_: float = 0.95  # weight of longer returns
    target_rate: float = 0.05  # share of the value that its slow copy takes over at each update
    model_rate: float = 3e-4  # learning rates
    discriminator_rate: float = 3e-4
    policy_rate: float = 3e-4
    value_rate: float = 3e-4
    clip: float = 100.0  # largest norm of each gradient
    evaluate_every: int = 5  # rounds between two evaluations of the policy's mode
    evaluation_episodes: int = 20  # side by side
    seed: int = 0

    def __post_init__(self) -> None:
        """Accept JSON's lists and refuse what cannot be trained in words."""
        object.__setattr__(self, "discriminator_hidden", tuple(self.discriminator_hidden))
        counts = {
            name: getattr(self, name)
            for name in ("rounds", "episodes", "updates", "starts", "evaluate_every", "evaluation_episodes")
        }
        for name, count in {**counts, "horizon": self.horizon - 1}.items():
            if count < 1:
                raise ValueError(f"{name} starts at {1 + (name == 'horizon')}; got {getattr(self, name)}.")
        if self.imitation.seed not in (0, self.seed):
            raise ValueError(f"the imitation's seed is that of the whole: say seed={self.imitation.seed}.")
        if not self.discriminator_hidden or min(self.discriminator_hidden) < 1:
            raise ValueError("discriminator_hidden has at least one width, each at least 1.")
        if not 0.0 <= self.old_share < 1.0:
            raise ValueError(
                f"old_share lies in [0, 1), for new data must be learned from; got {self.old_share}."
            )
        if min(self.surrogate_weight, self.regularisation, self.penalty) < 0.0 or self.wide_std <= 0.0:
            raise ValueError(
                "surrogate_weight, regularisation and penalty start at 0, wide_std lies above it; got "
                f"{self.surrogate_weight}, {self.regularisation}, {self.penalty} and {self.wide_std}."
            )
        if not 0.0 < self.target_rate <= 1.0:
            raise ValueError(f"target_rate lies in (0, 1]; got {self.target_rate}.")

    @property
    def old_windows(self) -> int:
        """Windows of a batch of the world model that are old data; at least one is new."""
        size = self.imitation.optimizer.batch_size
        return min(round(self.old_share * size), size - 1)


QUICK = OnlineConfig()
PAPER = OnlineConfig(
    imitation=PAPER_IMITATION, rounds=1000, episodes=1, surrogate_weight=1.0, discriminator_hidden=(1024, 1024, 1024), starts=2500,
    discriminator_rate=1e-4, value_rate=8e-5, evaluate_every=50, evaluation_episodes=10,
)  # fmt: skip
"""The successor's counts and rates; the world model has whatever sizes it was trained with."""
