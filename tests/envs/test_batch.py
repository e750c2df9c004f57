"""Batches step as single environments do, whatever the number of threads, and survive pickling."""

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from latentctx_envs.locomotion.walker import WalkerTask

IDS = ("LatentCtx-PointMass-v0", "LatentCtx-CheetahRun-v0", "LatentCtx-WalkerRun-v0")
N = 5


FORKED = """
import os, signal, warnings
import gymnasium as gym
import numpy as np
import latentctx_envs

warnings.simplefilter("ignore")
many = gym.make_vec("LatentCtx-Walker-v0", num_envs=4, num_threads=2)
many.reset(seed=0)
many.step(np.zeros((4, 6)))
child = os.fork()
if child == 0:
    signal.alarm(20)
    many.step(np.zeros((4, 6)))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
many.step(np.zeros((4, 6)))
"""


def drive(env: Any, steps: int = 30, **reset: Any) -> list[Any]:
    rng = np.random.default_rng(1)
    trace = [env.reset(seed=4, **reset)]
    return trace + [env.step(rng.uniform(-1, 1, env.action_space.shape)) for _ in range(steps)]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("env_id", IDS)
def test_vector_equals_single_environments_bit_for_bit(env_id: str, threads: int, mode: str) -> None:
    kwargs = {"num_envs": N, "max_episode_steps": 13, "action_repeat": 2}
    native = gym.make_vec(env_id, num_threads=threads, autoreset_mode=mode, **kwargs)
    single = gym.make_vec(
        env_id,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gym.vector.AutoresetMode(mode)},
        **kwargs,
    )
    assert data_equivalence(drive(native), drive(single), exact=True)
    native.close()
    single.close()


@pytest.mark.parametrize("env_id", IDS)
def test_pickled_vector_environment_continues_alike(env_id: str) -> None:
    env = gym.make_vec(env_id, num_envs=N, num_threads=2)
    drive(env, 3)
    twin = pickle.loads(pickle.dumps(env))
    actions = np.full(env.action_space.shape, 0.3)
    for _ in range(5):
        assert data_equivalence(env.step(actions), twin.step(actions), exact=True)
    env.close()
    twin.close()


def test_rows_are_copies() -> None:
    from latentctx_envs.batch import Batch

    task = WalkerTask("stand")
    batch = Batch(task, 2, threads=1)
    rows = batch.rows()
    kept = rows.copy()
    batch.step(np.ones((2, 6)))
    assert np.array_equal(rows, kept)
    assert not np.array_equal(batch.rows(), kept)


def test_only_the_chosen_step() -> None:
    from latentctx_envs.batch import Batch

    batch = Batch(WalkerTask("stand"), 3, threads=2)
    before = batch.rows()
    batch.step(np.ones((2, 6)), [0, 2])
    changed = (batch.rows() != before).any(axis=1)
    assert changed.tolist() == [True, False, True]
    batch.close()


def test_a_forked_child_steps_with_threads_of_its_own(run_python) -> None:
    run_python(FORKED)
