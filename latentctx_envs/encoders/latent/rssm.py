"""The recurrent state-space model: what must run step by step, and nothing else.

    h_t = GRU([z_t-1, a_t-1], h_t-1)
    prior      z_t ~ p(. | h_t)
    posterior  z_t ~ q(. | h_t, e_t)        e_t embeds the observation o_t; a_t-1 led to it

Only the recurrence is in the loop. Products with embeddings and recorded actions are computed before it for all steps at
once, priors and everything that is read from the states after it.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from latentctx_envs.encoders.latent.config import WorldModelConfig
from latentctx_envs.encoders.latent.gaussian import ACTIVATIONS, GaussianMLP, Normal


class State(NamedTuple):
    """A latent state, or a time-major stack of them."""

    deter: Tensor  # h (..., d)
    stoch: Tensor  # z (..., z)

    @property
    def features(self) -> Tensor:
        """H and z side by side."""
        return torch.cat(self, dim=-1)


class RSSM(nn.Module):
    """Dynamics over latent states.

    Args:
        config: sizes and kinds of networks.
        embedding: length of e_t.
        action_dim: length of a_t.
    """

    def __init__(self, config: WorldModelConfig, embedding: int, action_dim: int) -> None:
        super().__init__()
        self._deter, self._stoch = config.deter, config.stoch
        self.gru_input: nn.Sequential | None = None
        inputs = config.stoch + action_dim
        if config.gru_input:
            layers: list[nn.Module] = [nn.Linear(inputs, config.deter)]
            layers += [nn.LayerNorm(config.deter)] if config.norm else []
            self.gru_input = nn.Sequential(*layers, ACTIVATIONS[config.activation]())
            inputs = config.deter
        self.gru = nn.GRUCell(inputs, config.deter)
        # the paper's smaller networks are two layers deep, its larger ones one
        hidden = config.hidden if config.separate_std else config.hidden[:1]
        kind = {
            "hidden": hidden, "activation": config.activation, "norm": config.norm,
            "separate": config.separate_std, "std": config.std,
        }  # fmt: skip
        self.prior = GaussianMLP(config.deter, config.stoch, **kind)
        self.posterior = GaussianMLP(config.deter + embedding, config.stoch, **kind)

    def initial(self, batch: int) -> State:
        """The state before anything was seen: zeros."""
        like = self.gru.weight_hh
        return State(like.new_zeros(batch, self._deter), like.new_zeros(batch, self._stoch))

    def action_part(self, actions: Tensor) -> Tensor:
        """What actions (..., a) add to the first product of a step, (..., w); for all steps at once."""
        weight, bias = self._mixing()
        return F.linear(actions, weight[:, self._stoch :], bias)

    def embedding_part(self, embeddings: Tensor) -> Tensor:
        """What embeddings (..., e) add to the posterior's first layer, (..., w); for all steps at once."""
        first = self.posterior.first
        return F.linear(embeddings, first.weight[:, self._deter :], first.bias)

    def advance(self, state: State, action_part: Tensor) -> Tensor:
        """The deterministic part of the next step, h (b, d)."""
        weight, _ = self._mixing()
        mixed = torch.addmm(action_part, state.stoch, weight[:, : self._stoch].t())
        gru = self.gru
        if self.gru_input is not None:
            mixed = F.linear(self.gru_input[1:](mixed), gru.weight_ih, gru.bias_ih)
        held = F.linear(state.deter, gru.weight_hh, gru.bias_hh).float()
        mixed = mixed.float()  # gates stay in full precision where products do not
        d = self._deter
        reset, update = torch.sigmoid(mixed[:, : 2 * d] + held[:, : 2 * d]).chunk(2, dim=1)
        fresh = torch.tanh(torch.addcmul(mixed[:, 2 * d :], reset, held[:, 2 * d :]))
        return torch.lerp(fresh, state.deter, update)

    def infer(self, deter: Tensor, embedding_part: Tensor) -> Normal:
        """The posterior of z given h (b, d) and the observation's part (b, w)."""
        first = self.posterior.first
        return self.posterior.after_first(
            torch.addmm(embedding_part, deter, first.weight[:, : self._deter].t())
        )

    def observe(self, state: State, action_part: Tensor, embedding_part: Tensor, noise: Tensor) -> State:
        """One step of filtering: the next state, z drawn from the posterior with this noise (b, z)."""
        deter = self.advance(state, action_part)
        return State(deter, self.infer(deter, embedding_part).sample(noise))

    def imagine(self, state: State, action: Tensor, noise: Tensor) -> State:
        """One step without an observation: z drawn from the prior."""
        deter = self.advance(state, self.action_part(action))
        return State(deter, self.prior(deter).sample(noise))

    def _mixing(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the product that meets z and the action."""
        if self.gru_input is None:
            return self.gru.weight_ih, self.gru.bias_ih
        linear = self.gru_input[0]
        assert isinstance(linear, nn.Linear)
        return linear.weight, linear.bias


class Filtered(NamedTuple):
    """What filtering T observations gives, time-major."""

    states: State  # (T, b, ...)
    posterior: Normal  # (T, b, z)


def filter_states(
    rssm: RSSM, embeddings: Tensor, actions: Tensor, noise: Tensor, start: State | None = None
) -> Filtered:
    """Filter T observations whose actions are known.

    Args:
        rssm: the dynamics.
        embeddings: e_1 .. e_T (T, b, e).
        actions: a_0 .. a_T-1 (T, b, a), each of which led to the observation in its place.
        noise: standard normal (T, b, z).
        start: the state before; by default zeros.
    """
    state = rssm.initial(embeddings.shape[1]) if start is None else start
    steps = zip(
        rssm.action_part(actions).unbind(0),
        rssm.embedding_part(embeddings).unbind(0),
        noise.unbind(0),
        strict=True,
    )
    deters, stochs, means, stds = [], [], [], []
    for action, embedding, draw in steps:
        deter = rssm.advance(state, action)
        posterior = rssm.infer(deter, embedding)
        state = State(deter, posterior.sample(draw))
        deters.append(deter)
        stochs.append(state.stoch)
        means.append(posterior.mean)
        stds.append(posterior.std)
    states = State(torch.stack(deters), torch.stack(stochs))
    return Filtered(states, Normal(torch.stack(means), torch.stack(stds)))
