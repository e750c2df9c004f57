"""Acting with a world model: filter what is seen, then take the policy's action at the latent state."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.world_models.model import Observations, WorldModel
from latentctx_envs.encoders.latent.rssm import State
from latentctx_envs.encoders.latent.sensors import PIXELS


class LatentPolicy:
    """A policy on the latent states of a world model, for one environment or a batch that begins together.

    Args:
        model: filters the observations.
        policy: acts at the states.
        sample_state: draw z from the posterior, as the paper does; else take its mean.
        sample_action: draw the action as well, to explore; else it is the policy's mode.
        seed: of these draws; each episode goes on with them.
    """

    def __init__(
        self,
        model: WorldModel,
        policy: TanhPolicy,
        *,
        sample_state: bool = True,
        sample_action: bool = False,
        seed: int = 0,
    ) -> None:
        self._model, self._policy = model.eval(), policy.eval()
        self._sample, self._sample_action = sample_state, sample_action
        self._generator = torch.Generator().manual_seed(seed)
        self.reset()

    def reset(self) -> None:
        """Forget the episode: the next state follows from nothing."""
        self._state: State | None = None
        self._action: Tensor | None = None

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Actions, float32 (n, a) or (a,), for observation(s) of the model's setting."""
        single = np.ndim(observation) == (3 if self._model.sensors.observed == PIXELS else 1)
        seen = torch.from_numpy(np.asarray(observation)[None] if single else np.asarray(observation))
        if seen.is_floating_point():  # worlds from elsewhere show float64
            seen = seen.to(torch.float32)
        with torch.inference_mode():
            action = self._act(seen)
        found = action.cpu().numpy()
        return found[0] if single else found

    def _act(self, seen: Tensor) -> Tensor:
        model = self._model
        device = model.rssm.gru.weight_hh.device
        seen = seen.to(device)
        if self._state is None or self._action is None:
            self._state = model.rssm.initial(len(seen))
            self._action = torch.zeros(len(seen), model.action_dim, device=device)
        if model.sensors.observed == PIXELS:
            observations = Observations(torch.zeros(1, len(seen), 0, device=device), seen[None])
        else:
            observations = Observations(seen[None])
        rssm = model.rssm
        part = rssm.embedding_part(model.embed(observations)[0])
        shape = (len(seen), model.config.stoch)
        noise = torch.randn(shape, generator=self._generator) if self._sample else torch.zeros(shape)
        self._state = rssm.observe(self._state, rssm.action_part(self._action), part, noise.to(device))
        if self._sample_action:
            chosen = self._policy(self._state.features)
            draw = torch.randn(self._action.shape, generator=self._generator)
            self._action = torch.tanh(chosen.sample(draw.to(device)))
        else:
            self._action = self._policy.mode(self._state.features)
        return self._action
