"""Actions that videos tell without naming them (LAPO, arXiv 2312.10812), with goals as pictures.

    code     c = Q(q(o_t-m+1 .. o_t+n))      what leads on, rounded: all of it that gets through teaches
    model    o_t+1 .. o_t+n ~ D(o_t-m+1 .. o_t, c)
    policy   pi(o_t-1, o_t, g) = c           regressed on videos; g is a later frame of the same clip
    action   a = d(o_t-1, o_t, c)            regressed on what was done in the world

q and D have the shapes of the video model's posterior and decoder, so that the two differ in what they learn. Rounding
is that of finite scalar quantisation (arXiv 2309.15505), where LAPO has codebooks; LAPO's policy knows no goals.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from latentctx_agents.optim import LossFunction, Metrics, OptimizerConfig, Training
from latentctx_agents.pvdr.action_metric import standardised
from latentctx_agents.pvdr.evidence import EvidenceConfig, token_cross_entropy
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.model import Decoder, split
from latentctx_agents.pvdr.tokens import TokenStore
from latentctx_agents.pvdr.trunks import HIDDEN, PlanesTrunk
from latentctx_envs.encoders.dynamics.blocks import Pool, Trunk
from latentctx_envs.encoders.dynamics.config import DynamicsConfig


@dataclass(frozen=True, kw_only=True)
class LatentActionConfig:
    """How actions are told from videos.

    Raises:
        ValueError: a number is out of range.
    """

    numbers: int = 6  # of a code
    levels: int = 5  # that each can have: 5 ** 6 codes, 14 bits
    ahead: int = 1  # frames that a code leads on
    codes: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            steps=2000, batch_size=32, learning_rate=2e-3, weight_decay=0.01, clip=1.0, warm_up=200
        )
    )
    policy: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(steps=3000, batch_size=128, learning_rate=1e-3)
    )
    # of the actions of codes, after the random episodes; batch and rate are the policy's
    first_steps: int = 1500
    steps: int = 100  # of these after each rollout

    def __post_init__(self) -> None:
        """Refuse what cannot be learned in words."""
        if min(self.numbers, self.ahead) < 1 or min(self.first_steps, self.steps) < 0:
            raise ValueError("numbers and ahead start at 1, first_steps and steps at 0.")
        if self.codes.batch_size < 2:  # their numbers are brought to deviation 1 over a batch
            raise ValueError("codes are learned from batches of at least 2 windows.")
        if self.levels < 3 or self.levels % 2 == 0:
            raise ValueError(f"levels are odd, from 3 on; got {self.levels}.")


class LatentActions(nn.Module):
    """Codes, what they lead to, the policy of codes and the actions of codes.

    Args:
        model: whose tokens, and whose sizes.
        config: sizes of codes.
        actions: numbers of an action.
    """

    vectors: Tensor

    def __init__(self, model: VideoModel, config: LatentActionConfig, actions: int) -> None:
        super().__init__()
        self.config, self.action_dim = config, actions
        self.sizes: DynamicsConfig = replace(model.config, future=config.ahead, latent=config.numbers)
        self.trunk = Trunk(self.sizes, self.sizes.posterior_blocks, self.sizes.window, changes=True)
        self.pool = Pool(self.sizes.width, self.sizes.heads)
        # brought to deviation 1, so that rounding leaves more than one level from the first step on
        self.read = nn.Sequential(
            nn.Linear(self.sizes.width, config.numbers), nn.BatchNorm1d(config.numbers, affine=False)
        )
        self.decoder = Decoder(self.sizes)
        self.register_buffer("vectors", standardised(model.tokenizer))
        planes = self.vectors.shape[1]
        self.policy = nn.Sequential(PlanesTrunk(3 * planes), nn.Linear(HIDDEN, config.numbers))
        self.action = nn.Sequential(PlanesTrunk(2 * planes, config.numbers), nn.Linear(HIDDEN, actions))

    def codes(self, window: Tensor) -> Tensor:
        """Tokens (b, m + n, 64) -> codes (b, numbers), each in [-1, 1]."""
        return rounded(self.read(self.pool(self.trunk(window))), self.config.levels)

    def wanted(self, seen: Tensor) -> Tensor:
        """Tokens (b, 3, 64) of the frame before, the frame and the goal -> what the policy wants, (b, numbers)."""
        return self.policy(self._planes(seen))

    def actions(self, seen: Tensor, codes: Tensor) -> Tensor:
        """Tokens (b, 2, 64) of the frame before and the frame, and codes -> actions (b, a)."""
        return self.action(torch.cat([self._planes(seen), codes], dim=1))

    def code_loss(self, window: Tensor) -> tuple[Tensor, Metrics]:
        """Cross entropy of what follows, given code and context; tokens that change count more."""
        context, future = split(window, self.sizes)
        logits = self.decoder(context, self.codes(window))
        loss, right = token_cross_entropy(logits, future, future != context[:, -1:], EvidenceConfig())
        return loss, {"code_accuracy_changed": right.item()}

    def policy_loss(self, window: Tensor, goals: Tensor) -> Tensor:
        """Mean squared error of the codes of windows (b, m + n, 64) towards goals (b, 64)."""
        with torch.no_grad():
            codes = self.codes(window)
        now = self.sizes.context
        before = max(0, now - 2)
        return F.mse_loss(self.wanted(torch.stack([window[:, before], window[:, now - 1], goals], 1)), codes)

    def action_loss(self, window: Tensor, actions: Tensor) -> Tensor:
        """Smooth L1 of the actions (b, a) that were done after the contexts of windows (b, m + n, 64)."""
        with torch.no_grad():
            codes = self.codes(window)
        now = self.sizes.context
        return F.smooth_l1_loss(self.actions(window[:, [max(0, now - 2), now - 1]], codes), actions)

    def _planes(self, tokens: Tensor) -> Tensor:
        return self.vectors[tokens].movedim(-1, -2).flatten(1)


def rounded(values: Tensor, levels: int) -> Tensor:
    """Numbers of any size -> one of so many levels between -1 and 1; gradients pass the rounding."""
    half = (levels - 1) // 2
    bounded = half * values.tanh()
    return (bounded + (bounded.round() - bounded).detach()) / half


def learn_from_videos(
    learner: LatentActions, store: TokenStore, among: np.ndarray, stride: int, rng: np.random.Generator
) -> Metrics:
    """Train codes, then the policy, on clips; what the last rows of metrics say.

    Args:
        learner: is trained.
        store: tokens of the clips.
        among: numbers of the clips to learn from.
        stride: frames of a clip for one of a window.
        rng: draws windows and goals.
    """
    length = learner.sizes.window

    def window(count: int) -> tuple[Tensor, Tensor]:
        """Windows, and a later frame of each clip as a goal."""
        clips, last = among[rng.integers(len(among), size=count)], store.tokens.shape[1] - 1
        starts = rng.integers(last - (length - 1) * stride + 1, size=count)
        goals = rng.integers(starts + learner.sizes.context * stride, last + 1)
        return store.windows(clips, starts, length, stride), store.windows(clips, goals, 1, stride)[:, 0]

    def trained(modules: list[nn.Module], training: OptimizerConfig, loss: LossFunction) -> Metrics:
        return list(Training(modules, training, rng).run(loss))[-1][1]

    config = learner.config
    of_codes = [learner.trunk, learner.pool, learner.read, learner.decoder]
    told = trained(of_codes, config.codes, lambda: learner.code_loss(window(config.codes.batch_size)[0]))
    imitated = trained(
        [learner.policy],
        config.policy,
        lambda: (learner.policy_loss(*window(config.policy.batch_size)), {}),
    )
    return {"code_accuracy_changed": told["code_accuracy_changed"], "latent_policy": imitated["loss"]}
