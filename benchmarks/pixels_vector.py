"""Steps of 8 pixel environments on all cores, against `AsyncVectorEnv` over dm_control's pixels.

Measured: `gym.make_vec(id, num_envs=8, observation="pixels", image_size=84)` in each render profile, with its default
number of rendering processes, against `AsyncVectorEnv` (8 processes, shared memory) over the leanest environment that
returns dm_control's `physics.render(84, 84, camera_id=0)`. Random actions, automatic resets included.

Targets, by wall time: "fast" 6 x, "turbo" 20 x.

Found (2 cores of an Intel Xeon, Mesa's software driver): "fast" 7.7 x on the cheetah, 6.5 x on the walker and 5.9 x on the
point mass, whose single frame gains least (its shadow and its anti-aliasing are most of what is left, and cannot go
without being seen); "turbo" 29 to 42 x.
"""

from typing import Any

import gymnasium as gym
import harness
from vector import WORLDS, gymnasium_arm, single_makers

N = 8
PIXELS = 84
STEPS = 10  # vector steps of an arm's call
PEER = "AsyncVectorEnv"
TARGETS = {"reference": 1.1, "fast": 6.0, "turbo": 20.0}


def results() -> dict[str, Any]:
    """All comparisons, printed on the way."""
    found = {}
    for world, (env_id, _, (domain, task)) in WORLDS.items():
        peer = gym.vector.AsyncVectorEnv(single_makers(domain, task, PIXELS, N), context="spawn")
        envs: dict[str, Any] = {PEER: peer}
        for profile in TARGETS:
            envs[profile] = gym.make_vec(
                env_id, num_envs=N, observation="pixels", image_size=PIXELS, render_profile=profile
            )
        arms = {name: gymnasium_arm(env, STEPS) for name, env in envs.items()}
        found[world] = harness.compare(
            f"{world}, {N} pixel environments, all cores",
            arms,
            peer=PEER,
            unit="frame",
            targets=TARGETS,
            seconds=1.0,
        )
        for env in envs.values():
            env.close()
    return harness.as_json(found)


if __name__ == "__main__":
    harness.run(__doc__ or "", results)
