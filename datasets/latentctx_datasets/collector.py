"""DemonstrationCollector: what anybody does in a world, kept as a dataset of this project.

Each episode is written down when it ends, so that a killed session loses the running one alone:

    <Minari's folder>/.<dataset id>.recording/   world.json, episode-000000.npz, episode-000001.npz, ...
    <Minari's folder>/.<dataset id>.recording.lock   held by the process that records
"""

import copy
import fcntl
import json
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import gymnasium as gym
import minari
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.replay import latent_env
from latentctx_datasets.writing import Record, record, write
from latentctx_envs.env import LatentContextEnv
from latentctx_envs.replacing import replacing
from latentctx_envs.settings import SIGHT

WORLD = "world.json"


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
        env: one environment of this project. Wrappers that change actions go around the collector, others may go inside.
        dataset_id: of the dataset that is made, such as "mine/point-mass-v0".

    Raises:
        DatasetError: the id is none, there is such a dataset, the environment is of another project, actions are changed
            inside, another process records under this id, or what was recorded before is of another world or dataset.
    """

    def __init__(self, env: gym.Env[Any, Any], dataset_id: str) -> None:
        library.check_id(dataset_id)
        library.refuse_local(dataset_id)
        self._world = latent_env(env)
        if env.action_space != env.unwrapped.action_space:
            raise DatasetError(
                "wrappers that change actions go around the DemonstrationCollector, not inside."
            )
        super().__init__(env)
        self.dataset_id = dataset_id
        self._folder = library.root() / f".{dataset_id.replace('/', '-')}.recording"
        self._spec = _of_states(env.spec, self._world)
        self._running: _Episode | None = None
        self._release = weakref.finalize(self, _held(self._folder).close)  # at the latest with this object
        try:
            _same_recording(self._folder, json.dumps([dataset_id, self._spec.to_json()]))
        except DatasetError:
            self._release()
            raise

    @property
    def episodes(self) -> int:
        """How many ended episodes are kept, those of earlier processes included."""
        return len(self._files())

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; a running one ends, cut off at its last step."""
        self._end()
        observation, info = self.env.reset(seed=seed, options=options)
        if self._release.alive:
            self._running = _Episode(self._world, seed, info)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment, and keep what was done."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._running is not None:
            self._running.add(action, float(reward), terminated, truncated, info)
            if terminated or truncated:
                self._end()
        return observation, reward, terminated, truncated, info

    def discard(self) -> None:
        """Forget the running episode, or the last one if none is running."""
        if self._running is not None:
            self._running = None
        elif files := self._files():
            files[-1].unlink()

    def create_dataset(
        self,
        *,
        demonstrator: str = "unknown",
        description: str = "Demonstrations.",
        author: str = "unknown",
        max_return: float | None = None,
    ) -> minari.MinariDataset:
        """Make the dataset of all episodes, the running one included; after that nothing more is recorded.

        Args:
            demonstrator: who acted.
            description: of the dataset.
            author: who recorded it.
            max_return: the reference score of 1; None for the mean return of these episodes.

        Raises:
            DatasetError: no episode was recorded, or the dataset was created before.
        """
        self._end()
        if not self._release.alive:
            raise DatasetError(f"{self.dataset_id} was created or closed: a new collector records anew.")
        if not self.episodes:
            raise DatasetError(f"no episode was recorded for {self.dataset_id}.")
        with gym.make(self._spec) as env:
            write(
                self.dataset_id,
                self._records(demonstrator),
                env=env,
                command="DemonstrationCollector",
                metadata={"algorithm_name": demonstrator, "description": description},
                max_return=max_return,
                author=author,
            )
        shutil.rmtree(self._folder)
        self._release()
        return library.load(self.dataset_id)

    def close(self) -> None:
        """Keep the running episode and close the environment; a new collector of this id goes on."""
        self._end()
        self._release()
        super().close()

    def _end(self) -> None:
        if self._running is not None and self._running.actions:
            with replacing(self._folder / f"episode-{self.episodes:06d}.npz") as fresh:
                self._running.write(fresh)
        self._running = None

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("episode-*.npz"))

    def _records(self, demonstrator: str) -> Iterator[Record]:
        for number, file in enumerate(self._files()):
            with np.load(file, allow_pickle=False) as arrays:
                facts = json.loads(str(arrays["facts"]))
                rows = {name: arrays[name] for name in arrays if name != "facts"}
            yield record(number, rows, split="all", demonstrator=demonstrator, **facts)


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
        self, action: Any, reward: float, terminated: bool, truncated: bool, info: dict[str, Any]
    ) -> None:
        """A step: what was done and what came of it."""
        space = self._world.action_space
        assert isinstance(space, spaces.Box)
        self.actions.append(
            np.clip(np.asarray(action, space.dtype), space.low, space.high)
        )  # as the world does
        self._outcomes.append((reward, terminated, truncated))
        self._see(info)

    def write(self, file: Path) -> None:
        """Write the episode; one that was left is cut off where it is."""
        rewards, terminations, truncations = (
            np.array(values) for values in zip(*self._outcomes, strict=True)
        )
        truncations[-1] |= not terminations[-1]
        observations, states, successes = (np.stack(values) for values in zip(*self._seen, strict=True))
        with file.open("wb") as stream:
            np.savez(
                stream,
                observations=observations,
                states=states,
                successes=successes,
                actions=np.stack(self.actions),
                rewards=rewards,
                terminations=terminations,
                truncations=truncations,
                facts=json.dumps(self.facts),
            )


def _held(folder: Path) -> TextIO:
    """The lock of a recording, which ends with this process.

    Raises:
        DatasetError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f"{folder.name}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise DatasetError(
            f"{folder} is being recorded already: close that collector or choose another id."
        ) from None
    return lock


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
    spec.kwargs = {key: value for key, value in spec.kwargs.items() if key not in SIGHT}
    spec.additional_wrappers = ()
    with gym.make(spec) as plain:
        if plain.observation_space != world.vector_spaces["state"]:
            raise DatasetError(f"{spec.id} shows no bare states, but {plain.observation_space}.")
    return spec


def _same_recording(folder: Path, what: str) -> None:
    """Write down what is recorded, or compare it with what was: ids that differ by a slash share a folder.

    Raises:
        DatasetError: earlier episodes are of another world or dataset.
    """
    file = folder / WORLD
    if file.exists() and file.read_text() != what and any(folder.glob("episode-*.npz")):
        raise DatasetError(
            f"{folder} holds episodes of another world or dataset: move it away or choose another id."
        )
    file.write_text(what)
