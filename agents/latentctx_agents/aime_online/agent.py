"""What learns online, and one update of all of it."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from latentctx_agents.aime.imitate import terms_of
from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.aime_online.config import OnlineConfig
from latentctx_agents.aime_online.surrogate import Discriminator, discriminator_loss
from latentctx_agents.dreamer.heads import Scalar
from latentctx_agents.dreamer.imagination import (
    draw_starts,
    drift_of,
    imagine,
    lambda_returns,
    policy_terms,
)
from latentctx_agents.optim import Metrics, Stepper, held
from latentctx_agents.world_models.evidence import ModelTerms, model_terms
from latentctx_agents.world_models.model import Observations, WorldModel
from latentctx_agents.world_models.windows import Windows
from latentctx_envs.encoders.latent.rssm import State


class Own(NamedTuple):
    """A batch of the body's windows, new and old side by side; the world's reward is not among it."""

    observations: Observations
    previous_actions: Tensor  # (T, b, a)


class PolicyTerms(NamedTuple):
    """What the policy minimises, and what its value should expect."""

    loss: Tensor
    states: Tensor  # (H, n, f), those that imagination starts from and all but the last imagined, without gradient
    returns: Tensor  # (H, n), of surrogate rewards, without gradient
    metrics: Metrics


class OnlineAime:
    """A world model, a policy, a discriminator, its reward as latent states foretell it, and a value.

    Args:
        config: how they learn.
        model: trained; it learns on.
        policy: on its states; it learns on.
        device: torch device.
    """

    def __init__(
        self, config: OnlineConfig, model: WorldModel, policy: TanhPolicy, *, device: str = "cpu"
    ) -> None:
        self.config = config
        self.model = model.to(device).requires_grad_(True)
        self.policy = policy.to(device).requires_grad_(True)
        features = model.config.features
        self.discriminator = Discriminator(model.embed_dim, config.discriminator_hidden).to(device)
        self.reward = Scalar(features, model.config.hidden, zero=True).to(device)
        self.value = Scalar(features, zero=True).to(device)
        self.slow_value = copy.deepcopy(self.value).requires_grad_(False)
        groups = [
            [*self.model.model_parameters(), *self.reward.parameters()],
            self.model.reading_parameters(),
        ]
        clip = config.clip
        self.steppers = {
            "world": Stepper(
                [self.model, self.reward], learning_rate=config.model_rate, clip=clip, groups=groups
            ),
            "discriminator": Stepper(
                [self.discriminator], learning_rate=config.discriminator_rate, clip=clip
            ),
            "actor": Stepper([self.policy], learning_rate=config.policy_rate, clip=clip),
            "critic": Stepper([self.value, self.slow_value], learning_rate=config.value_rate, clip=clip),
        }

    @torch.no_grad()
    def measure(self, observations: Observations) -> None:
        """Let the discriminator know how much embeddings vary, by some observations (1, n, d)."""
        states = observations.states.to(next(self.policy.parameters()).device)
        self.discriminator.measure(self.model.embed(Observations(states))[0])

    def update(self, own: Own, shown: Windows) -> Metrics:
        """One step of the discriminator, the world model, the policy and its value, in this order; numbers to log.

        Args:
            own: the body's windows, as many and as long as those shown.
            shown: demonstrations; their actions are logged against, not learned from.
        """
        verdict = self._judge(own, shown)
        terms, reward_metrics = self._learn_world(own)
        starts = draw_starts(terms.filtered.states, self.config.starts)
        found = self.policy_loss(shown, starts)
        self.steppers["actor"].step(found.loss)
        value_loss = self._learn_value(found)
        tensors = {**verdict, **terms.metrics, **reward_metrics, "value_loss": value_loss}
        return {**{name: value.item() for name, value in tensors.items()}, **found.metrics}

    def policy_loss(self, shown: Windows, starts: State) -> PolicyTerms:
        """AIME's loss on demonstrations, and w times that of imagined surrogate returns; nothing else is moved by it.

        Both hold the regularisation by itself, as the successor does.

        Args:
            shown: demonstrations.
            starts: n latent states.
        """
        config, count = self.config, len(starts.deter)
        with held(self.model, self.reward):
            imitated = terms_of(config.imitation, self.model, self.policy, shown)
            shape, device = (config.horizon, count), starts.deter.device
            noise = torch.randn(*shape, self.model.config.stoch, device=device)
            action_noise = torch.randn(*shape, self.model.action_dim, device=device)
            imagined = imagine(self.model.rssm, self.policy, starts, noise, action_noise)
            states = torch.cat([starts.features[None], imagined.states])
            rewards, values = self.reward(states), self.slow_value(states) / self._scale
        discounts = {"gamma": config.gamma, "lambda_": config.lambda_}
        dreamed = policy_terms(
            imagined,
            rewards[1:],
            values[1:],
            regularisation=config.regularisation,
            wide_std=config.wide_std,
            **discounts,
        )
        near = config.regularisation * drift_of(imitated.inferred.policies, config.wide_std)
        return PolicyTerms(
            imitated.loss + near + config.surrogate_weight * dreamed.loss,
            states[:-1].detach(),
            lambda_returns(rewards, values, **discounts).detach(),
            {
                **{f"shown_{name}": value for name, value in imitated.metrics.items()},
                **{name: value.item() for name, value in dreamed.metrics.items()},
            },
        )

    @property
    def _scale(self) -> float:
        """The value expects (1 - gamma) times the return, as Dreamer's."""
        return 1.0 - self.config.gamma

    def _judge(self, own: Own, shown: Windows) -> dict[str, Tensor]:
        with torch.no_grad():
            demonstrated, done = self.model.embed(shown.observations), self.model.embed(own.observations)
        mix = torch.rand(*done.shape[:-1], 1, device=done.device)
        verdict = discriminator_loss(self.discriminator, demonstrated, done, mix, self.config.penalty)
        self.steppers["discriminator"].step(verdict.loss)
        return verdict.metrics

    def _learn_world(self, own: Own) -> tuple[ModelTerms, dict[str, Tensor]]:
        """One step by the evidence, and of the reward by what the discriminator now says of the same batch."""
        noise = self.model.noise(*own.previous_actions.shape[:2])
        terms = model_terms(self.model, own.observations, own.previous_actions, noise)
        rewards = self.discriminator(terms.embeddings.detach()).detach()
        loss = self.reward.loss(terms.filtered.states.features, rewards).sum(dim=0).mean()
        self.steppers["world"].step(terms.loss + loss)
        return terms, {"reward_loss": loss.detach(), "surrogate_reward": rewards.mean()}

    def _learn_value(self, found: PolicyTerms) -> Tensor:
        errors = self.value(found.states) - self._scale * found.returns
        loss = 0.5 * errors.square().mean()
        self.steppers["critic"].step(loss)
        with torch.no_grad():
            for slow, fresh in zip(self.slow_value.parameters(), self.value.parameters(), strict=True):
                slow.lerp_(fresh, self.config.target_rate)
        return loss.detach()


def own_batch(new: Own, old: Windows | None) -> Own:
    """New and old windows side by side."""
    if old is None:
        return new
    states = torch.cat([new.observations.states, old.observations.states], dim=1)
    return Own(Observations(states), torch.cat([new.previous_actions, old.previous_actions], dim=1))
