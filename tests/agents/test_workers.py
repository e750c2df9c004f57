"""Workers of a study end with it, also when it is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

STUDY = """
import os, sys, time
from latentctx_agents.workers import StudyWorkers

def cell():
    import torch
    with open(sys.argv[1], "w") as file:
        file.write(f"{os.getpid()} {torch.get_num_threads()}\\n")
    time.sleep(120)

if __name__ == "__main__":
    with StudyWorkers(1) as pool:
        pool.submit(cell).result()
"""

INTERRUPTED = """
import signal, sys, time
from pathlib import Path
from latentctx_agents.workers import StudyWorkers

def cell(folder, number):
    (folder / f"begun{number}").touch()
    try:
        time.sleep(120)
    finally:
        time.sleep(0.5)
        (folder / f"saved{number}").touch()

def fails(folder):
    raise ValueError("no such thing")

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run in the background, which ignores it
    folder = Path(sys.argv[1])
    with StudyWorkers(int(sys.argv[2])) as pool:
        if sys.argv[3] == "fails":
            pool.submit(cell, folder, 0)
            pool.submit(fails, folder).result()
        for job in [pool.submit(cell, folder, number) for number in range(4)]:
            job.result()
"""


@pytest.mark.parametrize("to", ["the group", "the study alone"])
def test_an_interrupted_study_begins_no_further_cell_and_lets_the_running_one_save(tmp_path, to):
    (tmp_path / "study.py").write_text(INTERRUPTED)
    command = [sys.executable, str(tmp_path / "study.py"), str(tmp_path), "1", "sleeps"]
    study = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    try:
        _until((tmp_path / "begun0").exists)
        (os.killpg if to == "the group" else os.kill)(study.pid, signal.SIGINT)
        _, said = study.communicate(timeout=60)
    finally:
        study.kill()
        study.communicate()
    assert study.returncode == -signal.SIGINT and "KeyboardInterrupt" in said
    assert (tmp_path / "saved0").exists() and not (tmp_path / "begun1").exists()


def test_a_cell_that_fails_ends_the_study_with_its_words_at_once(tmp_path):
    (tmp_path / "study.py").write_text(INTERRUPTED)
    command = [sys.executable, str(tmp_path / "study.py"), str(tmp_path), "2", "fails"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "ValueError: no such thing" in done.stderr
    assert (tmp_path / "begun0").exists() == (tmp_path / "saved0").exists()


def test_a_worker_in_the_middle_of_a_cell_ends_when_its_study_is_killed(tmp_path):
    (tmp_path / "study.py").write_text(STUDY)
    said = tmp_path / "said"
    study = subprocess.Popen([sys.executable, str(tmp_path / "study.py"), str(said)])
    worker = None
    try:
        _until(lambda: said.exists() and said.read_text().endswith("\n"))
        worker, threads = map(int, said.read_text().split())
        assert threads == 1
        os.kill(study.pid, signal.SIGKILL)
        study.wait()
        _until(lambda: not _runs(worker))
    finally:
        study.kill()
        if worker is not None and _runs(worker):
            os.kill(worker, signal.SIGKILL)


def _runs(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"  # an ended one that nobody asked for yet
    except FileNotFoundError:
        return False


def _until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)
