"""Linear worlds with a context: which objective finds the state among distractors? (toy 1, numpy alone).

A state of four numbers moves by s' = A s + B a; an expert acts by the state and by a context that stays the same in
an episode. The state is seen through a rotation together with 28 distractors that move on their own: o = M [s; z].
Each objective is a linear regression, its encoder the four directions of o that the regression uses most. An encoder
is good if twenty samples of one context are enough to clone the expert from it. Model: arXiv 2305.16985.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True)
class ContextKind:
    """What differs from episode to episode: the expert's action is K (goal + sign s)."""

    name: str
    signs: tuple[float, ...] = (1.0,)  # one is drawn for each episode
    goal_std: float = 0.0  # of each coordinate of the goal, normal around 0, in units of the state's
    visible: bool = False  # the goal is part of the observation, in place of as many distractors


SIGN_FLIP = ContextKind(name="sign-flip", signs=(-1.0, 1.0))  # the mean action is 0 in every state
ADDITIVE = ContextKind(name="additive", signs=(-1.0,), goal_std=3.0)  # the mean action is -K s
OBSERVABLE = ContextKind(name="observable")  # the observation shows all that decides the action
VISIBLE_GOAL = ContextKind(name="visible-goal", signs=(-1.0,), goal_std=3.0, visible=True)


@dataclass(frozen=True, kw_only=True)
class LinearSetting:
    """One kind of world, one pretraining set and one downstream task.

    Raises:
        ValueError: a number is out of range.
    """

    context: ContextKind = SIGN_FLIP
    # "full": A is a rotation times `decay`, B a rotation, as many actions as states. "chain": half of the states are
    # velocities, which the actions push; the other half are positions, which follow the velocities one step later.
    dynamics: Literal["full", "chain"] = "full"
    samples: int = 1024  # windows of the pretraining set, each in a context of its own
    steps: int = 1  # between the two observations of a window
    states: int = 4  # numbers of the state, and directions of every encoder
    distractors: int = 28  # numbers that move on their own
    distractor_std: float = 3.0  # stationary, in units of the state's
    decay: float = 0.9  # what is left after a step, of distractors and of states without an action
    action_noise: float = 0.1  # std of what is added to the expert's action; executed and recorded
    process_noise: float = 0.0  # std of what is added to each coordinate of the next state
    ridge: float = 1e-3  # penalty of every regression, beside a sum over samples
    few: int = 20  # samples of the downstream task
    judged: int = 2000  # fresh samples on which the cloned action is judged

    def __post_init__(self) -> None:
        """Refuse what cannot be sampled in words."""
        for name in ("samples", "steps", "states", "few", "judged"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if self.dynamics == "chain" and self.states % 2:
            raise ValueError(f'dynamics="chain" needs an even number of states; got {self.states}.')
        if self.context.visible and self.distractors < self.states:
            raise ValueError(
                f"a visible goal takes the place of {self.states} distractors; there are {self.distractors}."
            )

    @property
    def actions(self) -> int:
        """Numbers of an action."""
        return self.states if self.dynamics == "full" else self.states // 2


@dataclass(frozen=True, kw_only=True)
class LinearWorld:
    """The matrices of one world; s, a and o stand for the numbers of state, action and observation."""

    drift: np.ndarray  # A, (s, s)
    push: np.ndarray  # B, (s, a)
    gain: np.ndarray  # K, (a, s)
    view: np.ndarray  # M, (o, o), orthogonal

    @property
    def state_directions(self) -> np.ndarray:
        """Orthonormal directions of the observation along which the state is seen, (o, s)."""
        return self.view[:, : len(self.drift)]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Pairs of observations some steps apart and the first action between them, n of each."""

    observations: np.ndarray  # (n, o)
    actions: np.ndarray  # (n, a), executed
    expert_actions: np.ndarray  # (n, a), the same without noise
    next_observations: np.ndarray  # (n, o)


def _rotation(rng: np.random.Generator, size: int) -> np.ndarray:
    rotation, upper = np.linalg.qr(rng.standard_normal((size, size)))
    return rotation * np.sign(np.diag(upper))  # uniform over the orthogonal group


def draw_world(setting: LinearSetting, rng: np.random.Generator) -> LinearWorld:
    """A random world of that setting."""
    view = _rotation(rng, setting.states + setting.distractors)
    if setting.dynamics == "full":
        drift, push = _rotation(rng, setting.states), _rotation(rng, setting.states)
    else:
        one, none = np.eye(setting.actions), np.zeros((setting.actions, setting.actions))
        drift, push = np.block([[one, one], [none, one]]), np.vstack([none, one])  # [positions; velocities]
    gain = rng.standard_normal((setting.actions, setting.states)) / 2.0
    return LinearWorld(drift=setting.decay * drift, push=push, gain=gain, view=view)


def sample_windows(
    world: LinearWorld,
    setting: LinearSetting,
    rng: np.random.Generator,
    count: int,
    *,
    downstream: bool = False,
) -> Windows:
    """Windows from standard normal states on; each keeps its context.

    Args:
        world: its matrices.
        setting: context, noise and steps.
        rng: source of everything random.
        count: number of windows n.
        downstream: all in one context (the last sign, the goal at the origin) instead of one drawn for each.
    """
    kind = setting.context
    signs = rng.choice(kind.signs[-1:] if downstream else kind.signs, size=(count, 1))
    goals = (0.0 if downstream else kind.goal_std) * rng.standard_normal((count, setting.states))
    states = rng.standard_normal((count, setting.states))
    distractors = setting.distractor_std * rng.standard_normal((count, setting.distractors))
    fresh = setting.distractor_std * np.sqrt(1.0 - setting.decay**2)  # keeps the distractors' std where it is

    def seen() -> np.ndarray:
        rest = np.hstack([goals, distractors[:, setting.states :]]) if kind.visible else distractors
        return np.hstack([states, rest]) @ world.view.T

    observations, executed, wanted = seen(), [], []
    for _ in range(setting.steps):
        wanted.append((goals + signs * states) @ world.gain.T)
        executed.append(wanted[-1] + setting.action_noise * rng.standard_normal(wanted[-1].shape))
        states = states @ world.drift.T + executed[-1] @ world.push.T
        states = states + setting.process_noise * rng.standard_normal(states.shape)
        distractors = setting.decay * distractors + fresh * rng.standard_normal(distractors.shape)
    return Windows(
        observations=observations,
        actions=executed[0],
        expert_actions=wanted[0],
        next_observations=seen(),
    )


def ridge_regression(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Weights (i, t) without intercept that map inputs (n, i) to targets (n, t), squared weights penalised."""
    normal = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
    return np.linalg.solve(normal, inputs.T @ targets)


def _leading(weights: np.ndarray, rank: int) -> np.ndarray:
    return np.linalg.svd(weights, full_matrices=False)[0][:, :rank]


def inverse_dynamics(windows: Windows, rank: int, penalty: float) -> np.ndarray:
    """Encoder (o, rank) of the regression (o, o') -> a: the directions of o' on which the action depends most."""
    pair = np.hstack([windows.observations, windows.next_observations])
    before, after = np.split(ridge_regression(pair, windows.actions, penalty), 2)
    # With fewer actions than directions o' alone cannot fill the encoder; a shared encoder serves both observations.
    return _leading(after if after.shape[1] >= rank else np.hstack([before, after]), rank)


def behavior_cloning(windows: Windows, rank: int, penalty: float) -> np.ndarray:
    """Encoder (o, rank) of the regression o -> a: the directions of o on which the action depends most."""
    return _leading(ridge_regression(windows.observations, windows.actions, penalty), rank)


def explicit_forward_dynamics(windows: Windows, rank: int, penalty: float) -> np.ndarray:
    """Encoder (o, rank) of the regression (o, a) -> o', at a reduced rank.

    What o adds to the forecast of o' is kept in the `rank` directions in which it varies most.
    """
    both = np.hstack([windows.observations, windows.actions])
    observed = windows.observations.shape[1]
    weights = ridge_regression(both, windows.next_observations, penalty)[:observed]
    kept = np.linalg.svd(windows.observations @ weights, full_matrices=False)[2][:rank]
    return weights @ kept.T


def raw_observation(windows: Windows, rank: int, penalty: float) -> np.ndarray:
    """No encoder at all: the identity (o, o)."""
    return np.eye(windows.observations.shape[1])


ENCODERS: Mapping[str, Callable[[Windows, int, float], np.ndarray]] = {
    "inverse_dynamics": inverse_dynamics,
    "behavior_cloning": behavior_cloning,
    "explicit_forward_dynamics": explicit_forward_dynamics,
    "raw": raw_observation,
}


def downstream_error(
    encoder: np.ndarray, world: LinearWorld, setting: LinearSetting, rng: np.random.Generator
) -> float:
    """Squared error of the action cloned from a few samples of one context, as a share of the expert's action squared.

    Args:
        encoder: (o, features).
        world: where the samples come from.
        setting: how many, and their context.
        rng: of the samples.
    """
    few = sample_windows(world, setting, rng, setting.few, downstream=True)
    judged = sample_windows(world, setting, rng, setting.judged, downstream=True)
    weights = ridge_regression(few.observations @ encoder, few.actions, setting.ridge)
    missed = judged.observations @ encoder @ weights - judged.expert_actions
    return float(np.square(missed).sum() / np.square(judged.expert_actions).sum())


def overlap(encoder: np.ndarray, world: LinearWorld) -> float:
    """Share of the state's directions that lie in the encoder's span: 1 if all do, s/o for directions at random.

    Args:
        encoder: (o, rank), of full rank.
        world: whose state it is.
    """
    basis = np.linalg.qr(encoder)[0]
    return float(np.square(basis.T @ world.state_directions).sum() / len(world.drift))


def measure(
    setting: LinearSetting, seed: int, methods: tuple[str, ...] = tuple(ENCODERS)
) -> dict[str, dict[str, float]]:
    """Downstream error and overlap of the encoder of each method, all from the same data.

    Args:
        setting: world, pretraining set and downstream task.
        seed: the world, the pretraining set and the downstream samples come from it, each from a stream of its own.
        methods: keys of `ENCODERS`.
    """
    world = draw_world(setting, np.random.default_rng([seed, 0]))
    windows = sample_windows(world, setting, np.random.default_rng([seed, 1]), setting.samples)
    found = {}
    for method in methods:
        encoder = ENCODERS[method](windows, setting.states, setting.ridge)
        error = downstream_error(encoder, world, setting, np.random.default_rng([seed, 2]))
        found[method] = {"error": error, "overlap": overlap(encoder, world)}
    return found
