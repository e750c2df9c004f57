"""Locks: alone, shared, to wait for or to refuse, and open again when they are closed."""

import os
import threading
from contextlib import closing

import pytest

from latentctx_envs.locks import Lock, locked


@pytest.mark.parametrize("name", [".", "file"])
def test_a_lock_of_a_folder_or_file_is_held_by_one_until_it_is_closed(name, tmp_path):
    with closing(Lock(tmp_path / name)) as first, closing(Lock(tmp_path / name)) as second:
        assert first.take() and not second.take() and not second.take(shared=True)
    with closing(Lock(tmp_path / name)) as third:
        assert third.take()


def test_who_shares_lets_those_in_who_share_as_well(tmp_path):
    with closing(Lock(tmp_path)) as first, closing(Lock(tmp_path)) as second:
        assert first.take() and first.take(shared=True)
        assert second.take(shared=True) and not second.take()


def test_a_file_that_was_replaced_is_told(tmp_path):
    with closing(Lock(tmp_path / "file")) as lock:
        assert lock.is_in_place()
        (tmp_path / "new").touch()
        os.replace(tmp_path / "new", tmp_path / "file")
        assert not lock.is_in_place()


def test_who_makes_the_same_thing_waits(tmp_path):
    made = []

    def make():
        with locked(tmp_path / "folder" / "thing"):
            made.append("second")

    with locked(tmp_path / "folder" / "thing"):
        other = threading.Thread(target=make)
        other.start()
        other.join(timeout=0.2)
        made.append("first")
    other.join()
    assert made == ["first", "second"]
    assert [file.name for file in (tmp_path / "folder").iterdir()] == ["thing.lock"]
