"""Phase 2 of AIME as formulas: filtering with the policy's own actions, and the bound of what was observed.

The actions of the demonstrations are latent. Their posterior and prior are the same policy (eq. 6 and 7), so that it
cancels in the divergence (eq. 5) and what is left is phase 1's bound with other actions (eq. 8).
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.world_models.evidence import Evidence, evidence_of
from latentctx_agents.world_models.model import Observations, WorldModel
from latentctx_envs.encoders.latent.gaussian import Normal, kl_divergence
from latentctx_envs.encoders.latent.rssm import Filtered, State

Objective = Literal["full", "divergence", "reconstruction", "idm"]
OBJECTIVES: tuple[Objective, ...] = ("full", "divergence", "reconstruction", "idm")


class Inferred(NamedTuple):
    """What filtering with inferred actions gives, time-major."""

    filtered: Filtered
    actions: Tensor  # (T, b, a), a_0 .. a_T-1, each leads to the observation in its place
    policies: Normal  # (T, b, a), the policy's distributions before the tanh


def infer_actions(
    model: WorldModel,
    policy: TanhPolicy,
    embeddings: Tensor,
    noise: Tensor,
    action_noise: Tensor,
    *,
    by_idm: bool = False,
) -> Inferred:
    """Filter T observations, every action drawn from the policy at the state before it.

    Args:
        model: the world model.
        policy: on its states.
        embeddings: e_1 .. e_T (T, b, e).
        noise: standard normal (T, b, z).
        action_noise: standard normal (T, b, a).
        by_idm: draw the actions from the model's inverse dynamics instead; no gradient passes through them.
    """
    rssm = model.rssm
    state = rssm.initial(embeddings.shape[1])
    steps = zip(
        embeddings.unbind(0),
        rssm.embedding_part(embeddings).unbind(0),
        noise.unbind(0),
        action_noise.unbind(0),
        strict=True,
    )
    columns: list[list[Tensor]] = [[] for _ in range(7)]
    for embedding, part, draw, action_draw in steps:
        features = state.features
        chosen = policy(features)
        action = torch.tanh(chosen.sample(action_draw))
        if by_idm:
            with torch.no_grad():
                found = model.idm(torch.cat([features, embedding], dim=-1))
                action = torch.tanh(found.sample(action_draw))
        deter = rssm.advance(state, rssm.action_part(action))
        posterior = rssm.infer(deter, part)
        state = State(deter, posterior.sample(draw))
        for column, value in zip(columns, (*state, *posterior, action, *chosen), strict=True):
            column.append(value)
    deter, stoch, mean, std, action, policy_mean, policy_std = map(torch.stack, columns)
    filtered = Filtered(State(deter, stoch), Normal(mean, std))
    return Inferred(filtered, action, Normal(policy_mean, policy_std))


def imitation_loss(
    model: WorldModel,
    inferred: Inferred,
    observations: Observations,
    embeddings: Tensor,
    objective: Objective,
    *,
    burn_in: int = 0,
) -> tuple[Tensor, Evidence]:
    """What phase 2 minimises, and the bound's terms.

    Neither free nats nor balance nor a scale of the divergence, whatever the model was trained with; its re-weighting stays.

    Args:
        model: the world model, whose weights are held.
        inferred: of the policy.
        observations: the demonstrations.
        embeddings: theirs.
        objective: "full", one of the bound's terms alone, or "idm": the policy follows the model's inverse dynamics.
        burn_in: the first so many steps of a window, filtered from a state that knows nothing, do not count.
    """
    whole = evidence_of(model, inferred.filtered, observations)
    counted = Evidence(*(term[burn_in:] for term in whole))
    if objective == "idm":
        return idm_loss(model, inferred, embeddings, burn_in), counted
    scales = {"full": (1.0, 1.0), "divergence": (0.0, 1.0), "reconstruction": (1.0, 0.0)}
    reconstruction, divergence = scales[objective]
    return counted.loss(reconstruction=reconstruction, divergence=divergence), counted


def idm_loss(model: WorldModel, inferred: Inferred, embeddings: Tensor, burn_in: int = 0) -> Tensor:
    """KL of the inverse dynamics and the policy, before the tanh, which changes no divergence (AIME, appendix C)."""
    features = inferred.filtered.states.features
    before = torch.cat([torch.zeros_like(features[:1]), features[:-1]])
    target = model.idm(torch.cat([before, embeddings], dim=-1)).detach()
    return kl_divergence(target, inferred.policies).sum(dim=-1)[burn_in:].sum(dim=0).mean()
