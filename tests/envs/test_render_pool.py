"""Frames of vector environments: workers draw what one process draws, die in words, and leave nothing behind."""

import json
import os
import signal
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
import pytest

import latentctx_envs  # noqa: F401
from latentctx_envs.render_pool import RenderPool

N = 5
PIXELS = {"observation": "pixels", "image_size": 32, "render_profile": "turbo"}
IDS = ("LatentCtx-PointMass-v0", "LatentCtx-CheetahRun-v0", "LatentCtx-WalkerWalk-v0")
PLAIN_SCRIPT = """
import gymnasium as gym, numpy as np, latentctx_envs
env = gym.make_vec("LatentCtx-CheetahRun-v0", num_envs=4, observation="pixels", num_workers=2)
frames, _ = env.reset(seed=0)
print(frames.shape, frames.max() > 0)
"""
RESETS_SCRIPT = """
import json
import gymnasium as gym, psutil, latentctx_envs
env = gym.make_vec("LatentCtx-PointMass-v0", num_envs=5, num_workers=1, observation="pixels", image_size=32, render_profile="turbo")
me = psutil.Process()

def held():
    worker = psutil.Process(env.unwrapped._eyes._crew._workers[0].pid)
    memory = me.memory_info().rss + worker.memory_info().rss
    return len(me.children(recursive=True)), me.num_fds(), memory / 1e6

for seed in range(100):
    env.reset(seed=seed)
before = held()
for seed in range(1000):
    env.reset(seed=seed)
print(json.dumps([before, held()]))
env.close()
"""


def make(env_id: str, workers: int, **settings: Any) -> Any:
    return gym.make_vec(env_id, num_envs=N, num_workers=workers, **{**PIXELS, **settings})


def episode(env: Any, steps: int = 6) -> list[np.ndarray]:
    frames = [env.reset(seed=3)[0]]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        frames.append(env.step(rng.uniform(-1, 1, env.action_space.shape))[0])
    return frames


def workers_of(env: Any) -> list[Any]:
    return env.unwrapped._eyes._crew._workers


@pytest.mark.parametrize(
    ("env_id", "profile"), [*((env_id, "turbo") for env_id in IDS), (IDS[0], "reference"), (IDS[2], "fast")]
)
def test_frames_do_not_depend_on_the_number_of_workers(env_id: str, profile: str) -> None:
    alone, helped = make(env_id, 0, render_profile=profile), make(env_id, 2, render_profile=profile)
    assert np.array_equal(episode(alone, 3), episode(helped, 3))
    alone.close()
    helped.close()


def test_target_marker_reaches_the_workers() -> None:
    hidden, shown = (make(IDS[0], 2, goal_visible=visible) for visible in (False, True))
    assert not np.array_equal(hidden.reset(seed=0)[0], shown.reset(seed=0)[0])
    hidden.close()
    shown.close()


def test_returned_frames_are_the_callers_own() -> None:
    env = make(IDS[1], 1)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    env.step(np.ones(env.action_space.shape))
    assert np.array_equal(first, kept)
    env.close()


def test_closing_ends_the_workers_and_rendering_again_starts_anew() -> None:
    env = make(IDS[1], 2)
    frames = episode(env)
    workers = workers_of(env)
    env.unwrapped.close_extras()
    assert all(worker.returncode == 0 for worker in workers)
    assert np.array_equal(episode(env), frames)
    env.close()


def test_forgotten_environment_leaves_no_process() -> None:
    env = make(IDS[0], 2)
    env.reset(seed=0)
    pids = [worker.pid for worker in workers_of(env)]
    del env
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_death_of_a_worker_is_told_in_words_and_the_next_frames_have_new_ones(refuses: Any) -> None:
    env = make(IDS[1], 1)
    first, _ = env.reset(seed=0)
    crew = env.unwrapped._eyes._crew
    (worker,) = crew._workers
    worker.kill()
    worker.wait()
    with refuses("ended", "num_workers=0", error=RuntimeError):
        crew._finished()
    pool = env.unwrapped._eyes
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(crew, "_own_tickets", interrupted)
        pool.render(env.unwrapped._batch.datas)
    again, _ = env.reset(seed=0)
    assert np.array_equal(first, again)
    assert workers_of(env)[0].pid != worker.pid
    env.close()


def interrupted() -> Any:
    raise KeyboardInterrupt


def test_interrupt_leaves_the_workers_to_their_parent() -> None:
    env = make(IDS[1], 1)
    env.reset(seed=0)
    os.kill(workers_of(env)[0].pid, signal.SIGINT)
    env.step(np.zeros(env.action_space.shape))
    assert workers_of(env)[0].poll() is None
    env.close()


def test_workers_need_no_main_guard_and_end_with_the_script(run_python: Any) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    assert "(4, 64, 64, 3) True" in run_python(PLAIN_SCRIPT).stdout
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before


def test_no_frame_is_drawn_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    render = RenderPool.render

    def counted(pool: RenderPool, datas: Any) -> np.ndarray:
        drawn.append(len(datas))
        return render(pool, datas)

    monkeypatch.setattr(RenderPool, "render", counted)
    env = make(IDS[1], 0, action_repeat=4, autoreset_mode="SameStep", max_episode_steps=3)
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.zeros(env.action_space.shape))
    env.close()
    assert drawn == [N, N, N, N, N]  # the start, three steps, and the new starts beside the final frames
    drawn.clear()
    env = gym.make_vec(IDS[1], num_envs=N)
    env.reset(seed=0)
    env.step(np.zeros(env.action_space.shape))
    env.close()
    assert drawn == []


@pytest.mark.slow
def test_thousand_resets_leak_neither_processes_nor_descriptors_nor_memory(run_python: Any) -> None:
    # in a process of its own: that of the tests holds gigabytes of other tests, which come and go meanwhile
    (children, descriptors, megabytes), held = json.loads(run_python(RESETS_SCRIPT).stdout)
    assert held[:2] == [children, descriptors]
    assert held[2] < megabytes + 10


def test_bad_numbers_of_workers_and_threads_are_refused(refuses: Any) -> None:
    with refuses("num_workers", "-1"):
        gym.make_vec(IDS[0], num_envs=2, num_workers=-1)
    with refuses("num_threads", "0"):
        gym.make_vec(IDS[0], num_envs=2, num_threads=0)
