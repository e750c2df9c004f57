"""Steps and resets of one Meta-World environment, against metaworld's own.

The peer is what `gym.make("Meta-World/MT1", env_name=...)` makes, unwrapped; so is ours, so that neither pays for
wrappers. Both take the same recorded actions of upstream's scripted policy from the same state; the tests show that both
return the same observations, bit for bit, and the same rewards. A reset of ours draws a new random vector each time, as
the episodes of a learner would; upstream's keeps one, which is no faster. The ratios are of CPU time; the average is the
mean of the ten tasks' ratios.

Targets: 1.8 times upstream's steps on average over ten tasks, 5 times its resets.
Found (2 shared and busy cores of an Intel(R) Xeon(R) Processor): steps 2.1 times on average, from 1.4 where the reward is
cheap (button-press-topdown, drawer-close) to 3.3 where it looks for contacts (push, pick-place); resets 52 times.
Ten of the fifty tasks must simulate the hand's walk at each new random vector; their resets are 2.1 times upstream's.
Of what is left of a step, five `mj_step` and one `mj_forward` are about three quarters.
"""

import statistics
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import metaworld  # noqa: F401  (registers its ids)
import mujoco
import numpy as np
from harness import Comparison, as_json, compare, run
from metaworld.policies import ENV_POLICY_MAP

from latentctx_envs.meta_world import make_sawyer
from latentctx_envs.meta_world.engine import Sawyer
from latentctx_envs.meta_world.resets import STATE, get_state

TASKS = (
    "reach-v3",
    "push-v3",
    "pick-place-v3",
    "door-open-v3",
    "drawer-open-v3",
    "drawer-close-v3",
    "button-press-topdown-v3",
    "peg-insert-side-v3",
    "window-open-v3",
    "hammer-v3",
)
WALKING = ("handle-press-v3", "peg-unplug-side-v3")  # of the ten tasks whose resets must simulate
STEPS = 150  # of the recorded rollout
SECONDS, ROUNDS = 0.15, 5
STEP_TARGET, RESET_TARGET = 1.8, 5.0


def make_pair(task: str) -> tuple[Any, Sawyer]:
    """Upstream's environment and ours, at the start of the same episode."""
    theirs = gym.make("Meta-World/MT1", env_name=task, seed=0, disable_env_checker=True)
    theirs.reset()
    ours = make_sawyer(task)
    ours.reset(rand_vec=theirs.unwrapped._last_rand_vec)
    return theirs.unwrapped, ours


def record(env: Sawyer, task: str) -> np.ndarray:
    """Actions of the scripted policy, float32 (STEPS, 4)."""
    policy, actions = ENV_POLICY_MAP[task](), []
    observation, _ = env.reset(rand_vec=env.rand_vec)
    for _ in range(STEPS):
        actions.append(np.clip(policy.get_action(observation), -1, 1).astype(np.float32))
        observation = env.step(actions[-1])[0]
    return np.array(actions)


def rolling(env: Any, start: np.ndarray, actions: np.ndarray) -> Callable[[], int]:
    """An arm that takes the actions from the start state."""

    def roll() -> int:
        mujoco.mj_setState(env.model, env.data, start, STATE)
        env.curr_path_length = 0
        for action in actions:
            env.step(action)
        return len(actions)

    return roll


def resetting(env: Any) -> Callable[[], int]:
    """An arm that resets once."""

    def reset() -> int:
        env.reset()
        return 1

    return reset


def steps(task: str, theirs: Any, ours: Sawyer) -> Comparison:
    actions = record(ours, task)
    ours.reset(rand_vec=ours.rand_vec)
    start = get_state(ours.model, ours.data)
    arms = {"metaworld": rolling(theirs, start, actions), "engine": rolling(ours, start, actions)}
    return compare(f"steps of {task}", arms, peer="metaworld", unit="step", seconds=SECONDS, rounds=ROUNDS)


def resets(task: str, theirs: Any, ours: Sawyer) -> Comparison:
    arms = {"metaworld": resetting(theirs), "engine": resetting(ours)}
    return compare(f"resets of {task}", arms, peer="metaworld", unit="reset", seconds=SECONDS, rounds=ROUNDS)


def average(comparisons: list[Comparison]) -> float:
    return statistics.mean(comparison.cpu_ratios["engine"] for comparison in comparisons)


def results() -> dict[str, Any]:
    found: dict[str, Comparison] = {}
    for task in TASKS + WALKING:
        theirs, ours = make_pair(task)
        if task in TASKS:
            found[f"step {task}"] = steps(task, theirs, ours)
        found[f"reset {task}"] = resets(task, theirs, ours)
    averages = {
        "step": average([found[f"step {task}"] for task in TASKS]),
        "reset": average([found[f"reset {task}"] for task in TASKS]),
        "walking reset": average([found[f"reset {task}"] for task in WALKING]),
    }
    print(
        f"average of {len(TASKS)} tasks, CPU: steps x{averages['step']:.2f} (target x{STEP_TARGET:g}),",
        end=" ",
    )
    print(f"resets x{averages['reset']:.1f} (target x{RESET_TARGET:g})")
    print(
        f"average of {len(WALKING)} tasks whose hand meets the object: resets x{averages['walking reset']:.2f}"
    )
    targets = {"step": STEP_TARGET, "reset": RESET_TARGET}
    return as_json(found, {"averages": averages, "targets": targets})


if __name__ == "__main__":
    run(__doc__ or "", results)
