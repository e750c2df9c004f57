"""Dreamer's parts and one update of all of them."""

import torch
from torch import Tensor, nn

from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.dreamer.buffer import Batch
from latentctx_agents.dreamer.config import DreamerConfig
from latentctx_agents.dreamer.heads import Ensemble, Scalar
from latentctx_agents.dreamer.imagination import draw_starts, imagine, policy_terms
from latentctx_agents.optim import Metrics, Stepper, held
from latentctx_agents.world_models.evidence import ModelTerms, model_terms
from latentctx_agents.world_models.model import WorldModel
from latentctx_envs.encoders.latent.rssm import State
from latentctx_envs.encoders.latent.sensors import Sensors


class Dreamer:
    """A world model, a policy, a value, and a reward to be had or an ensemble to disagree.

    Args:
        config: the agent.
        action_dim: length of an action.
        device: torch device.
    """

    def __init__(self, config: DreamerConfig, action_dim: int, *, device: str = "cpu") -> None:
        self.config = config
        sensors = Sensors.of(config.task.partition("-")[0], "position" if config.position else "state")
        self.model = WorldModel(config.model, sensors, action_dim).to(device)
        features = config.model.features
        self.policy = TanhPolicy(features, action_dim).to(device)
        self.value = Scalar(features).to(device)
        self.goal: Scalar | Ensemble
        if config.explore:
            embedding = self.model.embed_dim
            self.goal = Ensemble(
                features, action_dim, embedding, members=config.ensemble, hidden=config.ensemble_hidden
            ).to(device)
            apart: list[nn.Parameter] = list(self.goal.parameters())
            shaping: list[nn.Parameter] = []
        else:
            self.goal = Scalar(features, config.model.hidden).to(device)
            apart, shaping = [], list(self.goal.parameters())
        groups = [
            [*self.model.model_parameters(), *shaping],
            [*self.model.reading_parameters(), *apart],
        ]
        self.world = Stepper(
            [self.model, self.goal], learning_rate=config.model_rate, clip=config.clip, groups=groups
        )
        self.actor = Stepper([self.policy], learning_rate=config.policy_rate, clip=config.clip)
        self.critic = Stepper([self.value], learning_rate=config.value_rate, clip=config.clip)

    @property
    def steppers(self) -> dict[str, Stepper]:
        """What is trained, by name."""
        return {"world": self.world, "actor": self.actor, "critic": self.critic}

    def update(self, batch: Batch) -> Metrics:
        """One step of the world model, then of the policy, then of its value; numbers to log."""
        noise = self.model.noise(*batch.rewards.shape)
        terms = model_terms(self.model, batch.observations, batch.previous_actions, noise)
        goal_loss = self._goal_loss(terms, batch)
        self.world.step(terms.loss + goal_loss)
        starts = draw_starts(terms.filtered.states, self.config.starts)
        metrics = {**terms.metrics, "goal_loss": goal_loss.detach(), **self._behave(starts)}
        return {name: value.item() for name, value in metrics.items()}

    def _goal_loss(self, terms: ModelTerms, batch: Batch) -> Tensor:
        states = terms.filtered.states.features
        if isinstance(self.goal, Scalar):
            found = self.goal.loss(states, batch.rewards)
        else:
            found = self.goal.loss(states[:-1], batch.previous_actions[1:], terms.embeddings[1:])
        return found.sum(dim=0).mean()

    def _behave(self, start: State) -> dict[str, Tensor]:
        config, count = self.config, len(start.deter)
        like = start.deter
        noise = torch.randn(config.horizon, count, config.model.stoch, device=like.device)
        action_noise = torch.randn(config.horizon, count, self.model.action_dim, device=like.device)
        scale = 1.0 - config.gamma  # the value predicts (1 - gamma) times the return
        with held(self.model, self.goal, self.value):
            imagined = imagine(self.model.rssm, self.policy, start, noise, action_noise)
            rewards = (
                self.goal(imagined.states)
                if isinstance(self.goal, Scalar)
                else self.goal.disagreement(imagined)
            )
            found = policy_terms(
                imagined,
                rewards,
                self.value(imagined.states) / scale,
                gamma=config.gamma,
                lambda_=config.lambda_,
                regularisation=config.regularisation,
            )
            self.actor.step(found.loss)
        expected = self.value(imagined.states[:-1].detach())
        value_loss = 0.5 * (expected - scale * found.returns).square().mean()
        self.critic.step(value_loss)
        return {**found.metrics, "value_loss": value_loss.detach()}
