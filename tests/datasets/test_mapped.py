"""Cache folders: one builder at a time."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from latentctx_datasets import mapped

KIND = mapped.Kind(name="test cache", arrays=("numbers",), format_version=1, remedy="it will be made again")


def test_of_several_builders_one_builds_and_the_others_wait(tmp_path: Path) -> None:
    built: list[int] = []

    def build(partial: Path) -> dict[str, Any]:
        built.append(1)
        time.sleep(0.05)
        np.save(partial / "numbers.npy", np.arange(3))
        return {"fact": 7}

    target = tmp_path / "cache"
    threads = [threading.Thread(target=mapped.ensure, args=(target, KIND, build)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [1]
    assert mapped.verified_manifest(target, KIND, lambda manifest: manifest["fact"])["fact"] == 7
    np.testing.assert_array_equal(mapped.open_arrays(target, KIND)[0], [0, 1, 2])


def test_a_large_array_of_a_killed_build_is_kept(tmp_path: Path) -> None:
    path = mapped.allocate(tmp_path, "numbers", np.float32, (4, 2), KIND)
    np.load(path, mmap_mode="r+")[1] = 5.0
    again = np.load(mapped.allocate(tmp_path, "numbers", np.float32, (4, 2), KIND))
    assert again[1].tolist() == [5.0, 5.0]
    assert again[0].tolist() == [0.0, 0.0]


def test_only_chunks_that_were_not_written_down_are_missing(tmp_path: Path) -> None:
    assert mapped.missing_chunks(tmp_path, 7, 3) == [(0, 3), (3, 6), (6, 7)]
    mapped.record_chunks(tmp_path, iter([(3, 6)]), done=0, total=7, label="test", unit="row")
    assert mapped.missing_chunks(tmp_path, 7, 3) == [(0, 3), (6, 7)]
