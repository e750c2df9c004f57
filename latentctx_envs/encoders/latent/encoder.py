"""A world model's filter as an encoder: its features are the latent state that follows from all that was seen and done."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from latentctx_envs.encoders.latent.config import WorldModelConfig
from latentctx_envs.encoders.latent.gaussian import ACTIVATIONS
from latentctx_envs.encoders.latent.images import SIDE, ImageEncoder64
from latentctx_envs.encoders.latent.rssm import RSSM, State
from latentctx_envs.encoders.latent.sensors import PIXELS, Observed, Sensors
from latentctx_envs.encoders.stateful import StatefulEncoder


@dataclass(frozen=True, kw_only=True)
class LatentEncoderConfig:
    """What a filter sees and is made of.

    Raises:
        ValueError: no such body or setting, or a model that cannot be built.
    """

    family: str  # of the body's worlds, such as "walker", or the id of another body's world
    observed: Observed
    action_dim: int
    state_dim: int | None = None  # length of the state of another body
    model: WorldModelConfig = field(default_factory=WorldModelConfig)

    def __post_init__(self) -> None:
        """Accept JSON's dictionary and refuse what is no filter."""
        if isinstance(self.model, dict):
            object.__setattr__(self, "model", WorldModelConfig(**self.model))
        Sensors.of(self.family, self.observed, self.state_dim)
        if self.action_dim < 1:
            raise ValueError(f"action_dim starts at 1; got {self.action_dim}.")

    @property
    def sensors(self) -> Sensors:
        """What is seen, by name."""
        return Sensors.of(self.family, self.observed, self.state_dim)


def observation_encoder(sensors: Sensors, config: WorldModelConfig) -> tuple[nn.Module, int]:
    """The network from what is seen to its embedding, and the embedding's length; vectors may be their own."""
    if sensors.observed == PIXELS:
        return ImageEncoder64(), ImageEncoder64.embedding
    layers: list[nn.Module] = []
    width = sensors.width
    for after in config.embed_hidden:
        layers.append(nn.Linear(width, after))
        layers += [nn.LayerNorm(after)] if config.norm else []
        layers.append(ACTIVATIONS[config.activation]())
        width = after
    return nn.Sequential(*layers), width


class LatentEncoder(StatefulEncoder):
    """h and z of a recurrent state-space model, z as the mean of its posterior; it follows clipped actions."""

    config_type: ClassVar[type[Any]] = LatentEncoderConfig
    unread: ClassVar[tuple[str, ...]] = ("rssm.prior.",)

    def __init__(self, config: LatentEncoderConfig) -> None:
        super().__init__(config)
        self.encoder, embedding = observation_encoder(config.sensors, config.model)
        self.rssm = RSSM(config.model, embedding, config.action_dim)
        del self.rssm.prior  # filtering never looks ahead

    @property
    def family(self) -> str:
        """Of the body's worlds."""
        return self.config.family

    def architecture(self) -> dict[str, Any]:
        """As of any encoder; without the length of the state where the body is known, as before there were others."""
        facts = super().architecture()
        return {name: value for name, value in facts.items() if (name, value) != ("state_dim", None)}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one observation: (d,) of a vector, (64, 64, 3) of a frame."""
        sensors = self.config.sensors
        return (SIDE, SIDE, 3) if sensors.observed == PIXELS else (sensors.width,)

    @property
    def reads(self) -> str:
        """What it takes, in words."""
        sensors, actions = (
            self.config.sensors,
            f"the actions ({self.config.action_dim} numbers) that led to them",
        )
        if sensors.observed == PIXELS:
            return f"uint8 frames of {SIDE} x {SIDE} pixels of the {sensors.family}, and {actions}"
        names = ", ".join(sensors.decoded)
        return f"float32 vectors of {sensors.width} numbers of the {sensors.family} ({names}), and {actions}"

    @property
    def features_dim(self) -> int:
        """Length of h and z."""
        return self.config.model.features

    @property
    def observed(self) -> Observed:
        """Kind of the observations."""
        return self.config.observed

    @property
    def followed_actions(self) -> int | None:
        """Length of the body's actions."""
        return self.config.action_dim

    def initial(self, batch: int) -> State:
        """Zeros."""
        return self.rssm.initial(batch)

    def follow(self, state: State, observations: Tensor, actions: Tensor) -> State:
        """The state after actions (B, a) that led to observations (B, ...)."""
        rssm = self.rssm
        deter = rssm.advance(state, rssm.action_part(actions))
        return State(deter, rssm.infer(deter, rssm.embedding_part(self.encoder(observations))).mean)

    def features_of(self, state: State) -> Tensor:
        """H and z (b, D)."""
        return state.features
