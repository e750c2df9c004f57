"""Steps of 64 state environments in one process, against EnvPool and Gymnasium's vectors over dm_control.

Measured: `gym.make_vec(id, num_envs=64)` with float32 state observations, random actions, automatic resets included,
against EnvPool (compiled C++, one thread), `SyncVectorEnv` and `AsyncVectorEnv` over dm_control through the lean
adapter below (leaner than the usual compatibility wrappers, so the peer is at its best). EnvPool's point mass is
dm_control's "easy" one: the same body, one physics step of 0.02 s instead of 0.05 s.

Targets, at N = 64: CPU time <= EnvPool's; CPU time <= 1/3 of SyncVectorEnv's (walker 1/1.8); wall 8 x AsyncVectorEnv.

Found (2 cores of an Intel Xeon with AVX-512): CPU time 1/1.5 of EnvPool's for point mass and cheetah, 1/1.25 for the walker;
1/18, 1/3.6 and 1/2.0 of SyncVectorEnv's; wall 53 x, 12 x and 4.3 x AsyncVectorEnv. The one target that is missed is the
walker's last: it simulates ten physics steps a control step, which are nine tenths of our time and cost everybody the
same, so two cores cannot step it more than twice as fast as one does. Two threads reach 1.7 of these 2.

Tried: MuJoCo's calls stage by stage instead of environment by environment (equal), threads for cheetah and point mass
(slower: the lock changes hands more often than a step is long).
"""

import importlib
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import harness
import numpy as np

import latentctx_envs  # noqa: F401

N = 64
STEPS = 100  # vector steps of an arm's call
WORLDS = {
    "point_mass": ("LatentCtx-PointMass-v0", "PointMassEasy-v1", ("point_mass", "easy")),
    "cheetah": ("LatentCtx-CheetahRun-v0", "CheetahRun-v1", ("cheetah", "run")),
    "walker": ("LatentCtx-WalkerWalk-v0", "WalkerWalk-v1", ("walker", "walk")),
}
OURS, ENVPOOL, SYNC, ASYNC = "LatentCtx", "EnvPool", "SyncVectorEnv", "AsyncVectorEnv"
SYNC_TARGETS = {"point_mass": 3.0, "cheetah": 3.0, "walker": 1.8}
ASYNC_TARGET = 8.0


class DmControlEnv(gym.Env[np.ndarray, np.ndarray]):
    """The leanest Gymnasium environment over a dm_control task: flat float32 observations.

    Args:
        domain: dm_control's domain.
        task: its task.
        pixels: side of the square frame to observe instead of the state [pixels].
    """

    def __init__(self, domain: str, task: str, pixels: int | None = None) -> None:
        from dm_control import suite

        self._env = suite.load(domain, task)
        self._pixels = pixels
        spec = self._env.action_spec()
        self.action_space = gym.spaces.Box(-1.0, 1.0, spec.shape, np.float32)
        self.observation_space = (
            gym.spaces.Box(-np.inf, np.inf, self._flat(self._env.reset()).shape, np.float32)
            if pixels is None
            else gym.spaces.Box(0, 255, (pixels, pixels, 3), np.uint8)
        )

    def _flat(self, step: Any) -> np.ndarray:
        if self._pixels is not None:
            return self._env.physics.render(self._pixels, self._pixels, camera_id=0)
        parts = [np.ravel(value) for value in step.observation.values()]
        return np.concatenate(parts, dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return self._flat(self._env.reset()), {}

    def step(self, action: np.ndarray) -> Any:
        step = self._env.step(action)
        return self._flat(step), step.reward, False, step.last(), {}


def gymnasium_arm(env: gym.vector.VectorEnv[Any, Any, Any], steps: int = STEPS) -> harness.Arm:
    """Steps a Gymnasium vector environment with the same random actions again and again."""
    env.reset(seed=0)
    shape = (steps, *env.action_space.shape)  # type: ignore[misc]
    actions = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)

    def arm() -> int:
        for action in actions:
            env.step(action)
        return steps * env.num_envs

    return arm


def envpool_arm(env_id: str) -> harness.Arm:
    """Steps EnvPool's environment in one thread."""
    envpool = importlib.import_module("envpool")  # of the extra `bench`, which the type checker does without
    env = envpool.make(env_id, env_type="gymnasium", num_envs=N, num_threads=1)
    env.reset()
    shape = (STEPS, N, *env.action_space.shape)
    actions = np.random.default_rng(0).uniform(-1, 1, shape).astype(env.action_space.dtype)

    def arm() -> int:
        for action in actions:
            env.step(action)
        return STEPS * N

    return arm


def single_makers(domain: str, task: str, pixels: int | None, count: int) -> list[Callable[[], Any]]:
    """Functions that each make one dm_control environment."""
    return [lambda: DmControlEnv(domain, task, pixels)] * count


def results() -> dict[str, Any]:
    """All comparisons, printed on the way."""
    found: dict[str, harness.Comparison] = {}
    for world, (ours, theirs, (domain, task)) in WORLDS.items():
        native = gym.make_vec(ours, num_envs=N, num_threads=1)
        sync = gym.vector.SyncVectorEnv(single_makers(domain, task, None, N))
        arms = {OURS: gymnasium_arm(native), ENVPOOL: envpool_arm(theirs)}
        title = f"{world}, {N} environments, one thread"
        found[f"{world}_envpool"] = harness.compare(
            title, arms, peer=ENVPOOL, unit="step", targets={OURS: 1.0}
        )
        arms = {OURS: arms[OURS], SYNC: gymnasium_arm(sync)}
        found[f"{world}_sync"] = harness.compare(
            title, arms, peer=SYNC, unit="step", targets={OURS: SYNC_TARGETS[world]}
        )
        native.close()
        sync.close()
        native = gym.make_vec(ours, num_envs=N)
        processes = gym.vector.AsyncVectorEnv(single_makers(domain, task, None, N))
        found[f"{world}_async"] = harness.compare(
            f"{world}, {N} environments, all cores",
            {OURS: gymnasium_arm(native), ASYNC: gymnasium_arm(processes)},
            peer=ASYNC,
            unit="step",
            targets={OURS: ASYNC_TARGET},
            seconds=1.0,
        )
        native.close()
        processes.close()
    return harness.as_json(found)


if __name__ == "__main__":
    harness.run(__doc__ or "", results)
