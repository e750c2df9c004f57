"""A state on a wiggly curve: easy to read off, hard to draw (toy 2; the curve of figure 8 of arXiv 2305.16985).

The state x is a number, its observation the point (x, sin x + sin(10 x / 3)). A linear encoder to one number is enough
to find x again. Inverse dynamics asks for the action between two such codes, explicit forward dynamics for the next
observation, which a decoder must bend into the curve. All seeds are trained as one batch of networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

BOUND = 5.0  # x lies in [-5, 5]
LARGEST_ACTION = 1.0
VALIDATION_SEED = 1_000_000  # added to the seed, so that every sample size is judged on the same points


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The observation of x: the point (x, height (sin x + sin(frequency x)))."""

    height: float = 1.0  # of both waves, in units of x
    frequency: float = 10.0 / 3.0  # of the second wave [radians per unit of x]: how hard the curve is to draw

    def __call__(self, states: Tensor) -> Tensor:
        """Observations (..., 2) of states (...)."""
        wave = self.height * (torch.sin(states) + torch.sin(self.frequency * states))
        return torch.stack([states, wave], dim=-1)


@dataclass(frozen=True, kw_only=True)
class CurveSetting:
    """One method on one curve.

    Raises:
        ValueError: a number is out of range.
    """

    method: Literal["inverse_dynamics", "explicit_forward_dynamics"] = "inverse_dynamics"
    curve: Curve = field(default_factory=Curve)
    samples: int = 1000  # transitions to learn from
    width: int = 64  # units of each of the two hidden layers of head or decoder
    steps: int = 4000  # gradient steps
    batch: int = 128  # transitions of a step, drawn with replacement; all of them if there are no more
    learning_rate: float = 3e-3  # of Adam, cosine to 0
    validation: int = 2000  # fresh transitions

    def __post_init__(self) -> None:
        """Refuse what cannot be trained in words."""
        for name in ("samples", "width", "steps", "batch", "validation"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of the encoder and of the three layers of head or decoder."""
        out = 1 if self.method == "inverse_dynamics" else 2
        return ((2, 1), (2, self.width), (self.width, self.width), (self.width, out))


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """Transitions of S seeds, n each."""

    states: Tensor  # (S, n), x
    observations: Tensor  # (S, n, 2)
    actions: Tensor  # (S, n, 1), the move that was made: at a bound, shorter than the one that was tried
    next_observations: Tensor  # (S, n, 2)

    def pick(self, indices: Tensor) -> "Transitions":
        """The transitions at indices (S, b), each seed's its own."""
        rows = torch.arange(len(indices))[:, None]
        return Transitions(**{name: value[rows, indices] for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What S trained networks do on fresh transitions."""

    loss: Tensor  # (S,), mean squared error of the action or of the next observation's coordinates
    probe_r2: Tensor  # (S,), share of the variance of x that the best line through the code explains
    weights: Tensor  # (S, number of weights of one network)


def draw_transitions(curve: Curve, count: int, generators: Sequence[torch.Generator]) -> Transitions:
    """Uniform states and uniform actions; a move ends at the bounds of the state.

    Args:
        curve: how states are seen.
        count: transitions n of each seed.
        generators: one a seed.
    """
    drawn = [torch.rand(2, count, generator=generator) * 2.0 - 1.0 for generator in generators]
    states, tried = torch.stack(drawn).unbind(1)
    states = BOUND * states
    next_states = (states + LARGEST_ACTION * tried).clamp(-BOUND, BOUND)
    return Transitions(
        states=states,
        observations=curve(states),
        actions=(next_states - states)[..., None],
        next_observations=curve(next_states),
    )


def initial_weights(setting: CurveSetting, generators: Sequence[torch.Generator]) -> Tensor:
    """Weights and biases uniform within 1/sqrt(inputs) (torch's own default), (S, number of weights)."""
    networks = []
    for generator in generators:
        parts = []
        for inputs, outputs in setting.layers:
            numbers = torch.rand((inputs + 1) * outputs, generator=generator)
            parts.append((2.0 * numbers - 1.0) / math.sqrt(inputs))
        networks.append(torch.cat(parts))
    return torch.stack(networks)


def _dense(weights: Tensor, setting: CurveSetting) -> list[tuple[Tensor, Tensor]]:
    """Each layer's bias (S, 1, out) and matrix (S, in, out), views of the flat weights."""
    sizes = [(inputs + 1) * outputs for inputs, outputs in setting.layers]
    pairs = []
    for part, (inputs, outputs) in zip(weights.split(sizes, dim=1), setting.layers, strict=True):
        matrix, bias = part.split([inputs * outputs, outputs], dim=1)
        pairs.append((bias[:, None], matrix.reshape(-1, inputs, outputs)))
    return pairs


def encode(weights: Tensor, setting: CurveSetting, observations: Tensor) -> Tensor:
    """Codes (S, n, 1) of observations (S, n, 2): a linear map, each seed's its own."""
    bias, matrix = _dense(weights, setting)[0]
    return torch.baddbmm(bias, observations, matrix)


def losses(weights: Tensor, setting: CurveSetting, batch: Transitions) -> Tensor:
    """Mean squared error of each seed (S,): of the action from both codes, or of o' from the code and the action."""
    (bias, matrix), *dense = _dense(weights, setting)
    code = torch.baddbmm(bias, batch.observations, matrix)
    if setting.method == "inverse_dynamics":
        second, target = torch.baddbmm(bias, batch.next_observations, matrix), batch.actions
    else:
        second, target = batch.actions, batch.next_observations
    hidden = torch.cat([code, second], dim=-1)
    for bias, matrix in dense[:-1]:
        hidden = torch.tanh(torch.baddbmm(bias, hidden, matrix))
    bias, matrix = dense[-1]
    return (torch.baddbmm(bias, hidden, matrix) - target).square().mean(dim=(1, 2))


def probe_r2(codes: Tensor, states: Tensor) -> Tensor:
    """Squared correlation (S,) of codes (S, n) and states (S, n): R2 of a linear probe; 0 for a constant code."""
    codes, states = codes - codes.mean(1, keepdim=True), states - states.mean(1, keepdim=True)
    spread = codes.square().sum(1) * states.square().sum(1)
    return (codes * states).sum(1).square() / spread.clamp_min(1e-12)


def train(setting: CurveSetting, seeds: Sequence[int]) -> Outcome:
    """Train one network for each seed, all at once, and judge them.

    Every seed has its own data, start and order of batches from a generator of its own, and the sum of the losses is
    minimised, so that no seed's gradient depends on another's: the outcome is that of training each alone.

    Args:
        setting: method, curve and numbers.
        seeds: of the networks, S.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    data = draw_transitions(setting.curve, setting.samples, generators)
    weights = initial_weights(setting, generators).requires_grad_()
    order = None
    if setting.batch < setting.samples:
        size = (setting.steps, setting.batch)
        drawn = [torch.randint(setting.samples, size, generator=generator) for generator in generators]
        order = torch.stack(drawn, dim=1)
    optimizer = torch.optim.Adam([weights], lr=setting.learning_rate)
    for step in range(setting.steps):
        rate = 0.5 * (1.0 + math.cos(math.pi * step / setting.steps))
        optimizer.param_groups[0]["lr"] = setting.learning_rate * rate
        batch = data if order is None else data.pick(order[step])
        (weights.grad,) = torch.autograd.grad(losses(weights, setting, batch).sum(), [weights])
        optimizer.step()
    return judge(weights.detach(), setting, seeds)


@torch.no_grad()
def judge(weights: Tensor, setting: CurveSetting, seeds: Sequence[int]) -> Outcome:
    """Loss and linear probe on fresh transitions, the same for every method and sample size of a seed."""
    generators = [torch.Generator().manual_seed(VALIDATION_SEED + seed) for seed in seeds]
    fresh = draw_transitions(setting.curve, setting.validation, generators)
    codes = encode(weights, setting, fresh.observations)[..., 0]
    loss = losses(weights, setting, fresh)
    return Outcome(loss=loss, probe_r2=probe_r2(codes, fresh.states), weights=weights)
