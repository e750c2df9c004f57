"""What the training of a demonstrator changes in its environments; returns are measured without it."""

from typing import Any

import numpy as np
from gymnasium import spaces

from latentctx_datasets.demonstrators.locomotion import with_phase
from latentctx_envs.extras import require
from latentctx_envs.locomotion.protocol import ENV_KWARGS
from latentctx_envs.locomotion.task import FLIP_RATE

require("stable_baselines3", "agents")

from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper  # noqa: E402

CHEETAH_STATE, CHEETAH_ANGLE = 17, 1  # numbers of a state observation, and which is the trunk's angle
TURNING_RATE = {"cheetah": 10, "walker": 17}  # where state observations hold the root's turning rate


class FlipTraining(VecEnvWrapper):
    """A flip's reward less what turning the other way would have earned, with a bonus for turning faster than asked.

    The task gives nothing for it and takes nothing, so that rocking slowly one way and fast back earns six tenths of
    the most; no policy leaves that optimum for a flip. The cost has no upper limit, unlike the reward: whatever angle
    is lost takes what gaining it at the full rate earned, and rocking nets nothing. Returns are measured without this.

    Args:
        venv: environments of a flip.
        task: such as "cheetah-flip" (nose down) or "walker-flip-backward".
        wrong_way: share of the cost.
        overspeed: share of the bonus: who turns fast keeps the full rate where the ground takes some of it.
    """

    def __init__(self, venv: VecEnv, task: str, wrong_way: float, overspeed: float) -> None:
        super().__init__(venv)
        self._index = TURNING_RATE[task.partition("-")[0]]
        self._way = -1.0 if task.endswith("backward") else 1.0
        self._wrong_way, self._overspeed = wrong_way, overspeed

    def reset(self) -> Any:
        """The first observations."""
        return self.venv.reset()

    def step_wait(self) -> Any:
        """One step; the step that ends an episode is left as it is, its observation is that of the next one."""
        observations, rewards, dones, infos = self.venv.step_wait()
        rates = self._way * np.asarray(observations)[:, self._index] / FLIP_RATE
        change = self._overspeed * np.clip(rates - 1.0, 0.0, 1.0) - self._wrong_way * np.maximum(-rates, 0.0)
        rewards = rewards + np.where(dones, 0.0, ENV_KWARGS["action_repeat"] * change)
        return observations, rewards, dones, infos


class Phase(VecEnvWrapper):
    """The cheetah's states with the phase of its trunk's angle, as `TrainedPolicy` reads them."""

    def __init__(self, venv: VecEnv) -> None:
        (size,) = venv.observation_space.shape or (0,)
        super().__init__(venv, observation_space=spaces.Box(-np.inf, np.inf, (size + 1,), np.float32))

    def reset(self) -> Any:
        """The first observations."""
        return with_phase(np.asarray(self.venv.reset()), CHEETAH_ANGLE)

    def step_wait(self) -> Any:
        """One step; the last observation of an episode that ends is seen alike."""
        observations, rewards, dones, infos = self.venv.step_wait()
        for info in (info for info, done in zip(infos, dones, strict=True) if done):
            info["terminal_observation"] = with_phase(info["terminal_observation"], CHEETAH_ANGLE)
        return with_phase(np.asarray(observations), CHEETAH_ANGLE), rewards, dones, infos
