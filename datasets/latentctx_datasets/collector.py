"""DemonstrationCollector: what anybody does in a world, kept as a dataset of this project."""

import copy
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import minari
import numpy as np
from gymnasium import spaces, wrappers
from gymnasium.envs.registration import EnvSpec

from latentctx_datasets.library import DatasetError, check_calls
from latentctx_datasets.recording import Recording
from latentctx_datasets.replay import latent_env
from latentctx_envs.env import LatentContextEnv
from latentctx_envs.settings import SIGHT

HARMLESS = (
    wrappers.TimeLimit,
    wrappers.OrderEnforcing,
    wrappers.PassiveEnvChecker,
    wrappers.RecordEpisodeStatistics,
    wrappers.RecordVideo,
    wrappers.HumanRendering,
    gym.ObservationWrapper,
)
"""Wrappers that pass on each action as one step of the world."""


class DemonstrationCollector(gym.Wrapper[Any, Any, Any, Any]):
    """Keep what is done in a world: states, actions, rewards, successes, contexts, seeds and physics states.

    Minari's `DataCollector` for worlds of this project. Whatever acts sees what the environment shows, pixels or features as
    well; what is kept are states, with the physics that pictures are derived from. An episode ends where the world says so, or
    at the next `reset`. Episodes that an earlier process left unfinished as a dataset are kept: go on at `self.episodes`.

        env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), "mine/point-mass-v0")
        for seed in range(env.episodes, 100):
            observation, info = env.reset(seed=seed)
            ...
        dataset = env.create_dataset(demonstrator="me")

    Args:
        env: one environment of this project. Time limits, wrappers of observations and `PinContext` may go inside; all others,
            which might do other actions, skip or repeat steps or begin episodes by themselves, go around the collector.
        dataset_id: of the dataset that is made, such as "mine/point-mass-v0".
        shared: several collectors record one dataset, those of a vector of environments, in one process or many. Each says
            so, and when all are closed `finish_recording` makes it.

    Raises:
        DatasetError: the id is none, there is such a dataset, the environment is of another project or other wrappers are
            inside, somebody else records under this id, or what was recorded before is of another world or dataset.
    """

    def __init__(self, env: gym.Env[Any, Any], dataset_id: str, *, shared: bool = False) -> None:
        if isinstance(env, gym.vector.VectorEnv):
            raise DatasetError(
                "DemonstrationCollector takes one environment; of a vector record each: gym.vector.SyncVectorEnv([lambda: "
                "DemonstrationCollector(gym.make(...), dataset_id, shared=True), ...])."
            )
        self._world = latent_env(env)
        _refuse_wrappers(env)
        super().__init__(env)
        self.dataset_id = dataset_id
        self._recording = Recording(dataset_id, _of_states(env.spec, self._world), shared=shared)
        self._running: _Episode | None = None
        self._ended = [] if shared else self._recording.files()

    @property
    def episodes(self) -> int:
        """How many ended episodes are kept, those of earlier processes and of other collectors included."""
        return len(self._recording.files())

    def kept(self) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
        """Seed and context of each ended episode, and its arrays, such as `actions`."""
        return self._recording.kept()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; a running one ends, cut off at its last step."""
        self._end()
        observation, info = self.env.reset(seed=seed, options=options)
        if self._recording.is_open:
            self._running = _Episode(self._world, seed, info)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment, and keep what was done."""
        action = np.asarray(action, self.action_space.dtype)  # what is kept is what is done, to the last bit
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._running is not None:
            self._running.add(action, float(reward), terminated, truncated, info)
            if terminated or truncated:
                self._end()
        return observation, reward, terminated, truncated, info

    def discard(self) -> None:
        """Forget the running episode, or the last one if none is running; of a shared recording this collector's own."""
        if self._running is not None:
            self._running = None
        elif self._ended:
            self._ended.pop().unlink()

    def create_dataset(
        self,
        *,
        demonstrator: str = "unknown",
        description: str = "Demonstrations.",
        author: str = "unknown",
        max_return: float | None = None,
    ) -> minari.MinariDataset:
        """Make the dataset of all episodes, the running one included; after that nothing more is recorded.

        The arguments are those of `finish_recording`.

        Raises:
            DatasetError: no episode was recorded, the dataset was created before, or others still record.
        """
        self._end()
        facts = {"demonstrator": demonstrator, "description": description, "author": author}
        return self._recording.create_dataset(**facts, max_return=max_return)

    def close(self) -> None:
        """Keep the running episode and close the environment; a new collector of this id goes on."""
        self._end()
        self._recording.close()
        super().close()

    def _end(self) -> None:
        if self._running is not None and self._running.actions:
            self._ended.append(self._recording.add(self._running.facts, self._running.arrays()))
        self._running = None


class _Episode:
    """What was recorded of a running episode."""

    def __init__(self, world: LatentContextEnv, seed: int | None, info: dict[str, Any]) -> None:
        self.facts = {"seed": seed, "context": info["context"]}
        self.actions: list[np.ndarray] = []
        self._outcomes: list[tuple[float, bool, bool]] = []
        self._seen: list[tuple[np.ndarray, np.ndarray, bool]] = []
        self._world = world
        self._see(info)

    def _see(self, info: dict[str, Any]) -> None:
        world = self._world
        self._seen.append((world.state_observation(), world.physics_state(), bool(info["success"])))

    def add(
        self, action: np.ndarray, reward: float, terminated: bool, truncated: bool, info: dict[str, Any]
    ) -> None:
        """A step: what was done and what came of it."""
        space = self._world.action_space
        assert isinstance(space, spaces.Box)
        self.actions.append(np.clip(action, space.low, space.high))  # as the world does
        self._outcomes.append((reward, terminated, truncated))
        self._see(info)

    def arrays(self) -> dict[str, np.ndarray]:
        """The episode, as `writing.record` takes it; one that was left is cut off where it is."""
        rewards, terminations, truncations = (
            np.array(values) for values in zip(*self._outcomes, strict=True)
        )
        truncations[-1] |= not terminations[-1]
        observations, states, successes = (np.stack(values) for values in zip(*self._seen, strict=True))
        return {
            "observations": observations,
            "states": states,
            "successes": successes,
            "actions": np.stack(self.actions),
            "rewards": rewards,
            "terminations": terminations,
            "truncations": truncations,
        }


def _refuse_wrappers(env: gym.Env[Any, Any]) -> None:
    """Refuse wrappers that might not pass on each action as one step of the world.

    Raises:
        DatasetError: there is one inside.
    """
    from latentctx_envs.wrappers import EncodeObservation, PinContext  # loads PyTorch

    while isinstance(env, gym.Wrapper):
        if not isinstance(env, (*HARMLESS, EncodeObservation, PinContext)):
            raise DatasetError(
                f"{type(env).__name__} may change what is done or when episodes begin: put it around the DemonstrationCollector, "
                "not inside."
            )
        env = env.env


def _of_states(made: EnvSpec | None, world: LatentContextEnv) -> EnvSpec:
    """The world that is recorded, as it shows states: its own arguments and time limit, and no wrappers.

    Raises:
        DatasetError: it cannot be named, or shows no bare states.
    """
    spec = copy.deepcopy(made)
    if spec is None:
        raise DatasetError(
            "the environment was not made by gymnasium.make: its dataset could not name its world."
        )
    sight = SIGHT if world.goal_in_state else (*SIGHT, "goal_visible")
    spec.kwargs = {key: value for key, value in spec.kwargs.items() if key not in sight}
    spec.additional_wrappers = ()
    check_calls(spec, spec.id)  # else nothing could read what is recorded
    with gym.make(spec) as plain:
        if plain.observation_space != world.vector_spaces["state"]:
            raise DatasetError(f"{spec.id} shows no bare states, but {plain.observation_space}.")
    return spec
