"""A world model: encoder, recurrent state-space model and decoders, over the sensors of a body."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from latentctx_agents.nets.convolutions import ImageDecoder64
from latentctx_envs.encoders.latent.config import WorldModelConfig
from latentctx_envs.encoders.latent.encoder import (
    LatentEncoder,
    LatentEncoderConfig,
    observation_encoder,
)
from latentctx_envs.encoders.latent.gaussian import GaussianMLP, Normal
from latentctx_envs.encoders.latent.rssm import RSSM
from latentctx_envs.encoders.latent.sensors import PIXELS, Sensors


class Observations(NamedTuple):
    """Observations of T steps, time-major."""

    states: Tensor  # float32 (T, b, d), state observations; the model looks at its own columns alone
    pixels: Tensor | None = None  # uint8 (T, b, h, w, 3)


class WorldModel(nn.Module):
    """p(o_1:T | a_0:T-1) of one body (AIME, section 3.1), with probes and inverse dynamics that read from its states.

    Args:
        config: its make.
        sensors: what it sees and decodes.
        action_dim: length of an action.
    """

    def __init__(self, config: WorldModelConfig, sensors: Sensors, action_dim: int) -> None:
        super().__init__()
        self.config, self.sensors, self.action_dim = config, sensors, action_dim
        self.encoder, embedding = observation_encoder(sensors, config)
        self.embed_dim = embedding
        self.rssm = RSSM(config, embedding, action_dim)
        self.decoders = nn.ModuleDict(
            {
                name: self._vector_head(last - first, learned=config.learned_std)
                for name, (first, last) in sensors.decoded.items()
            }
        )
        if sensors.observed == PIXELS:
            self.decoders[PIXELS] = ImageDecoder64(config.features)
        self.probes = nn.ModuleDict(
            {
                name: self._vector_head(last - first, learned=False)
                for name, (first, last) in sensors.probed.items()
            }
        )

        self.idm = GaussianMLP(config.features + embedding, action_dim, hidden=config.hidden)

    def _vector_head(self, outputs: int, *, learned: bool) -> GaussianMLP:
        config = self.config
        return GaussianMLP(
            config.features,
            outputs,
            hidden=config.hidden,
            activation=config.activation,
            norm=config.norm,
            separate=config.separate_std,
            std="softplus" if learned else "one",
        )

    def model_parameters(self) -> list[nn.Parameter]:
        """What the evidence trains: everything but the heads that only read."""
        return [p for name, p in self.named_parameters() if not name.startswith(("probes.", "idm."))]

    def reading_parameters(self) -> list[nn.Parameter]:
        """Those of the probes and of the inverse dynamics, which read from latent states without shaping them."""
        return [*self.probes.parameters(), *self.idm.parameters()]

    def embed(self, observations: Observations) -> Tensor:
        """Embeddings (T, b, e), of all steps at once."""
        if self.sensors.observed != PIXELS:
            return self.encoder(observations.states[..., : self.sensors.width])
        if observations.pixels is None:
            raise ValueError("this world model sees pixels; the batch has none.")
        return self.encoder(observations.pixels.flatten(0, 1)).unflatten(0, observations.pixels.shape[:2])

    def decode(self, features: Tensor) -> dict[str, Normal]:
        """The distribution of each sensor that the model sees, given latent states (..., f)."""
        return {name: decoder(features) for name, decoder in self.decoders.items()}

    def targets(self, observations: Observations) -> dict[str, Tensor]:
        """What `decode` should give: columns of the state, or pixels/255 channels first."""
        if self.sensors.observed == PIXELS:
            assert observations.pixels is not None
            frames = observations.pixels.permute(0, 1, 4, 2, 3)
            return {PIXELS: frames.to(torch.float32) / 255.0}
        return columns_of(observations.states, self.sensors.decoded)

    def noise(self, time: int, batch: int) -> Tensor:
        """Standard normal draws for T steps, (T, b, z)."""
        weight = self.rssm.gru.weight_hh
        return torch.randn(time, batch, self.config.stoch, device=weight.device, dtype=torch.float32)


def as_encoder(model: WorldModel) -> LatentEncoder:
    """The filter of a world model alone, for `EncodeObservation` and its twins; its weights are copies."""
    sensors = model.sensors
    encoder = LatentEncoder(
        LatentEncoderConfig(
            family=sensors.family,
            observed=sensors.observed,
            action_dim=model.action_dim,
            state_dim=sensors.state_dim,
            model=model.config,
        )
    )
    weights = model.state_dict()
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    return encoder.eval()


def columns_of(states: Tensor, columns: dict[str, tuple[int, int]]) -> dict[str, Tensor]:
    """Sensors by name."""
    return {name: states[..., first:last] for name, (first, last) in columns.items()}
