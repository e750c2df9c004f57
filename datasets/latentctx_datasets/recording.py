"""Recordings: episodes on their way to becoming a dataset.

Each episode is written down when it ends, so that a killed session loses the running one alone:

    <Minari's folder>/.<dataset id>.recording/   world.json, episode-000000.npz, episode-000001.npz, ...
    <Minari's folder>/.<dataset id>.recording.lock   held by whoever records
"""

import json
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import minari
import numpy as np
from gymnasium.envs.registration import EnvSpec

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.writing import Record, record, write
from latentctx_envs.locks import Lock, locked
from latentctx_envs.replacing import replacing

WORLD = "world.json"


class Recording:
    """The episodes that are kept for one dataset.

    Args:
        dataset_id: of the dataset that is made of them.
        world: that is recorded, showing states; None for what was recorded before.
        shared: let others record under the id as well, who say so, too.

    Raises:
        DatasetError: the id is none, there is such a dataset, somebody else records under it, or what was recorded before is
            of another world or dataset, or nothing was; or others share it with another world.
    """

    def __init__(self, dataset_id: str, world: EnvSpec | None = None, *, shared: bool = False) -> None:
        library.refuse_taken(dataset_id)
        self.dataset_id = dataset_id
        self._folder = library.root() / f".{dataset_id.replace('/', '-')}.recording"
        if world is None and not self.files():
            raise DatasetError(f"no episode was recorded for {dataset_id}.")
        with locked(self._folder / "episodes"):  # several may begin at once
            self._lock = Lock(self._folder.with_name(f"{self._folder.name}.lock"))
            self._release = weakref.finalize(self, self._lock.close)  # at the latest with this object
            try:
                self.world = self._same_world(world, self._taken(shared=shared))
            except DatasetError:
                self.close()
                raise

    @property
    def is_open(self) -> bool:
        """Whether episodes are still taken."""
        return self._release.alive

    def files(self) -> list[Path]:
        """The episodes, in the order in which they ended."""
        return sorted(self._folder.glob("episode-*.npz"))

    def kept(self) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
        """Seed and context of each episode, and its arrays as `writing.record` takes them."""
        for file in self.files():
            with np.load(file, allow_pickle=False) as arrays:
                facts = json.loads(str(arrays["facts"]))
                yield facts, {name: arrays[name] for name in arrays if name != "facts"}

    def add(self, facts: dict[str, object], arrays: dict[str, np.ndarray]) -> Path:
        """Keep an episode; its file."""
        with locked(self._folder / "episodes"):  # two may end at once
            files = self.files()
            number = int(files[-1].stem.rpartition("-")[2]) + 1 if files else 0
            file = self._folder / f"episode-{number:06d}.npz"
            with replacing(file) as fresh, fresh.open("wb") as stream:
                np.savez(stream, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)
        return file

    def create_dataset(
        self, *, demonstrator: str, description: str, author: str, max_return: float | None
    ) -> minari.MinariDataset:
        """Make the dataset, as `finish_recording` says, and end the recording."""
        if not self.is_open:
            raise DatasetError(f"{self.dataset_id} was created or closed: a new collector records anew.")
        if not self.files():
            raise DatasetError(f"no episode was recorded for {self.dataset_id}.")
        for name, text in {
            "demonstrator": demonstrator,
            "description": description,
            "author": author,
        }.items():
            if not isinstance(text, str):
                raise DatasetError(f"{name} must be a text; got {text!r}.")
        self._taken()
        with gym.make(self.world) as env:
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
        self.close()
        return library.load(self.dataset_id)

    def close(self) -> None:
        """Let others record under this id."""
        self._release()

    def _taken(self, *, shared: bool = False) -> bool:
        """Hold the lock, also beside others who share it if that is asked for; whether nobody else held it.

        Raises:
            DatasetError: somebody does.
        """
        alone = self._lock.take()
        if not (self._lock.take(shared=True) if shared else alone):
            raise DatasetError(
                f"{self._folder} is being recorded already: close that collector or choose another id; of a vector of "
                "environments give each collector shared=True, and close all before the dataset is made."
            )
        return alone

    def _same_world(self, world: EnvSpec | None, alone: bool) -> EnvSpec:
        """Write down what is recorded, or compare it with what was or is: ids that differ by a slash share a folder."""
        file = self._folder / WORLD
        what = None if world is None else [self.dataset_id, world.to_json()]
        if file.exists() and (self.files() or not alone):
            known = json.loads(file.read_text())
            if known[0] != self.dataset_id or what not in (None, known):
                raise DatasetError(
                    f"{self._folder} holds episodes of another world or dataset, or others record those: move it away or "
                    "choose another id."
                )
            return EnvSpec.from_json(known[1])
        assert world is not None
        with replacing(file) as fresh:
            fresh.write_text(json.dumps(what))
        return world

    def _records(self, demonstrator: str) -> Iterator[Record]:
        for facts, rows in self.kept():
            yield record(rows, demonstrator=demonstrator, **facts)


def finish_recording(
    dataset_id: str,
    *,
    demonstrator: str = "unknown",
    description: str = "Demonstrations.",
    author: str = "unknown",
    max_return: float | None = None,
) -> minari.MinariDataset:
    """Make the dataset of what collectors recorded under an id, once all of them are closed.

    Args:
        dataset_id: their id.
        demonstrator: who acted.
        description: of the dataset.
        author: who recorded it.
        max_return: the reference score of 1; None for the mean return of these episodes.

    Raises:
        DatasetError: no episode was recorded, somebody still records, or there is such a dataset.
    """
    facts = {"demonstrator": demonstrator, "description": description, "author": author}
    return Recording(dataset_id).create_dataset(**facts, max_return=max_return)
