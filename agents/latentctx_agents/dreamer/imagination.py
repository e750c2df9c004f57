"""Behaviour learned in imagination: pure functions of a world model, a policy, a value and a reward (arXiv 1912.01603)."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentctx_agents.aime.policy import TanhPolicy
from latentctx_envs.encoders.latent.gaussian import Normal, kl_divergence
from latentctx_envs.encoders.latent.rssm import RSSM, State

WIDE_STD = (
    0.88  # of the normal variable whose tanh is nearly uniform: where the policy's regularisation pulls to
)


class Imagined(NamedTuple):
    """H steps from n states, time-major; the states that imagination starts from are not among them.

    states    s_1 .. s_H      the state that actions[k] led to is states[k]
    actions   a_0 .. a_H-1
    policies  of the actions, before the tanh
    """

    states: Tensor  # (H, n, f)
    before: Tensor  # (H, n, f), the state each action was taken in
    actions: Tensor  # (H, n, a)
    policies: Normal  # (H, n, a)


def imagine(rssm: RSSM, policy: TanhPolicy, start: State, noise: Tensor, action_noise: Tensor) -> Imagined:
    """Follow the policy through the prior.

    The policy sees each state without its gradient: it is moved by what its actions lead to, not by being led there.

    Args:
        rssm: the dynamics.
        policy: acts.
        start: n states.
        noise: standard normal (H, n, z).
        action_noise: standard normal (H, n, a).
    """
    state = start
    columns: list[list[Tensor]] = [[] for _ in range(5)]
    for draw, action_draw in zip(noise.unbind(0), action_noise.unbind(0), strict=True):
        before = state.features
        chosen = policy(before.detach())
        action = torch.tanh(chosen.sample(action_draw))
        state = rssm.imagine(state, action, draw)
        for column, value in zip(columns, (state.features, before, action, *chosen), strict=True):
            column.append(value)
    states, before, actions, mean, std = map(torch.stack, columns)
    return Imagined(states, before, actions, Normal(mean, std))


def lambda_returns(rewards: Tensor, values: Tensor, gamma: float, lambda_: float) -> Tensor:
    """Returns of all steps but the last, (H - 1, n): R_t = r_t + g ((1 - l) V_t+1 + l R_t+1), from V_H on.

    Args:
        rewards: of arriving in each state (H, n).
        values: of each state (H, n).
        gamma: g, discount of a step.
        lambda_: l, weight of longer returns.
    """
    found = [values[-1]]
    for reward, following in zip(rewards[:-1].flip(0), values[1:].flip(0), strict=True):
        found.append(reward + gamma * ((1.0 - lambda_) * following + lambda_ * found[-1]))
    return torch.stack(found[:0:-1])


def draw_starts(states: State, count: int) -> State:
    """States of a time-major stack (T, b, ...) that imagination starts from, without their gradients.

    Args:
        states: of a batch of windows.
        count: how many are drawn, without replacement; all in any order if there are fewer.
    """
    deter, stoch = (part.detach().flatten(0, 1) for part in states)
    rows = torch.randperm(len(deter), device=deter.device)[:count]
    return State(deter[rows], stoch[rows])


def drift_of(policies: Normal, std: float = WIDE_STD) -> Tensor:
    """Mean KL of policies (..., a) and one whose actions are nearly uniform, summed over an action, in nats."""
    wide = Normal(torch.zeros_like(policies.mean), torch.full_like(policies.std, std))
    return kl_divergence(policies, wide).sum(dim=-1).mean()


class Behaviour(NamedTuple):
    """What the policy minimises, and what its value should expect."""

    loss: Tensor
    returns: Tensor  # (H - 1, n), of the imagined states but the last, without gradient
    metrics: dict[str, Tensor]


def policy_terms(
    imagined: Imagined,
    rewards: Tensor,
    values: Tensor,
    *,
    gamma: float,
    lambda_: float,
    regularisation: float,
    wide_std: float = WIDE_STD,
) -> Behaviour:
    """The policy's loss: discounted returns, less how far it is from a wide policy.

    Args:
        imagined: steps under the policy.
        rewards: of arriving in each imagined state (H, n), with gradient.
        values: expected returns of the states (H, n), with gradient.
        gamma: discount of a step.
        lambda_: weight of longer returns.
        regularisation: weight of the divergence from the wide policy.
        wide_std: of the wide policy, before the tanh.
    """
    returns = lambda_returns(rewards, values, gamma, lambda_)
    weights = (gamma ** torch.arange(1, len(returns) + 1, device=returns.device))[:, None]
    drift = drift_of(imagined.policies, wide_std)
    metrics = {"imagined_reward": rewards.mean(), "imagined_return": returns.mean(), "policy_drift": drift}
    loss = -(weights * returns).mean() + regularisation * drift
    return Behaviour(loss, returns.detach(), {name: value.detach() for name, value in metrics.items()})
