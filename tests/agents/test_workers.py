"""Workers of a study end with it, also when it is killed."""

import os
import signal
import subprocess
import sys
import time

STUDY = """
import os, sys, time
from latentctx_agents.workers import study_workers

def cell():
    import torch
    with open(sys.argv[1], "w") as file:
        file.write(f"{os.getpid()} {torch.get_num_threads()}\\n")
    time.sleep(120)

if __name__ == "__main__":
    with study_workers(1) as pool:
        pool.submit(cell).result()
"""


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
