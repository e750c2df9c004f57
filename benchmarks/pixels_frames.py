"""Frames of 84 x 84 pixels in one process, against dm_control's and Gymnasium's renderers.

Measured: `Renderer.render` in each profile over the poses of a rollout, against `physics.render(84, 84, camera_id=0)`
of dm_control's cheetah, walker and point mass "easy" (ours is the same arena with another clock and no target), and
against Gymnasium's `MujocoRenderer` for Meta-World's reach at camera "corner2". Each arm has a process of its own: two
owners of OpenGL contexts in one process get into each other's way. Beside the costs: the greatest difference of a
"reference" pixel from the peer's, and the PSNR of the other profiles over the rollout and in the worst frame of it.

Targets, by CPU time: "reference" 1.1 x dm_control and 1 x Gymnasium at identical pixels; "fast" 6 x on cheetah and
walker, 4 x on the point mass, 5 x on Meta-World, at 38 dB or more; "turbo" 25 x, on Meta-World 15 x.

Limits, on a software driver: "reference" must submit the triangles that the peers submit, so all it can save is their
oversized buffers, copies and raster threads; on Meta-World, where triangles are most of the cost, that is next to
nothing. "fast" must keep shadows and anti-aliasing, without which the point mass falls to 17 and 33 dB; they are four
fifths of its frame, and no flag of MuJoCo makes them cheaper. On Meta-World 38 dB take some 15,000 of 67,000 faces:
the red arm before a white floor shows a twentieth of a pixel. Tried to no gain: OSMesa, a newer Mesa, wider vectors,
two samples instead of four (the driver rounds up), nearest-texel shadows and mipmaps, no haze, removing hidden faces
of the Sawyer (there are none), vertex clustering instead of edge collapses (40 % more faces at the same PSNR).
"""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import harness
import mujoco
import numpy as np

from latentctx_envs.opengl import chosen_backend
from latentctx_envs.render_pool import POSE
from latentctx_envs.rendering import PROFILES, Renderer

SIZE = (84, 84)
FRAMES = 20  # of an arm's call, and of the rollout whose pixels are compared
STRIDE = 10  # physics or control steps between two poses
DM_CONTROL, GYMNASIUM = "dm_control", "Gymnasium"
DM_CONTROL_TASKS = {"cheetah": "run", "walker": "walk", "point_mass": "easy"}
DM_CONTROL_TARGETS = {
    "cheetah": {"reference": 1.1, "fast": 6.0, "turbo": 25.0},
    "walker": {"reference": 1.1, "fast": 6.0, "turbo": 25.0},
    "point_mass": {"reference": 1.1, "fast": 4.0, "turbo": 25.0},
}
META_WORLD_TARGETS = {"reference": 1.0, "fast": 5.0, "turbo": 15.0}
META_WORLD_TASKS = ("reach-v3", "drawer-open-v3", "door-open-v3", "pick-place-v3", "button-press-v3")
CAMERA = "corner2"
CAMERA_ID = 0  # of the suite


Draw = Callable[[np.ndarray], np.ndarray]  # a pose -> its frame


class Scene(NamedTuple):
    """A model, where it is looked at from, and the poses (frames, k) of a rollout."""

    model: mujoco.MjModel
    camera: str | int
    poses: np.ndarray


def pose_of(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    pose = np.empty(mujoco.mj_stateSize(model, POSE))
    mujoco.mj_getState(model, data, pose, POSE)
    return pose


def place(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """What a picture needs after the joints have been set."""
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)


def suite_scene(domain: str) -> Scene:
    """Random actions in cheetah or walker, or in our point mass' arena."""
    from latentctx_envs.point_mass.task import load_model
    from latentctx_envs.suite import suite_model

    model = load_model() if domain == "point_mass" else suite_model(domain)
    data, rng, poses = mujoco.MjData(model), np.random.default_rng(0), []
    for step in range(FRAMES * STRIDE):
        if step % STRIDE == 0:
            poses.append(pose_of(model, data))
        data.ctrl[:] = rng.uniform(-1.0, 1.0, model.nu)
        mujoco.mj_step(model, data)
    return Scene(model, CAMERA_ID, np.stack(poses))


def meta_world_scene(task: str) -> Scene:
    """Meta-World's own scripted policy in its own environment."""
    import gymnasium as gym
    import metaworld  # noqa: F401  # registers the environments
    from metaworld.policies import ENV_POLICY_MAP

    env = gym.make("Meta-World/MT1", env_name=task, disable_env_checker=True)
    physics, policy, poses = env.unwrapped, ENV_POLICY_MAP[task](), []
    observation, _ = env.reset(seed=0)
    for step in range(FRAMES * STRIDE // 2):
        if step % (STRIDE // 2) == 0:
            poses.append(pose_of(physics.model, physics.data))
        action = np.clip(policy.get_action(observation), -1.0, 1.0).astype(np.float32)
        observation, *_ = env.step(action)
    return Scene(physics.model, CAMERA, np.stack(poses))


def ours(scene: Scene, profile: Any) -> Draw:
    renderer = Renderer(scene.model, size=SIZE, camera=scene.camera, profile=profile)
    data = mujoco.MjData(scene.model)

    def draw(pose: np.ndarray) -> np.ndarray:
        mujoco.mj_setState(scene.model, data, pose, POSE)
        place(scene.model, data)
        return renderer.render(data)

    return draw


def gymnasiums(scene: Scene) -> Draw:
    from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer

    data = mujoco.MjData(scene.model)
    renderer = MujocoRenderer(scene.model, data, width=SIZE[1], height=SIZE[0], camera_name=CAMERA)

    def draw(pose: np.ndarray) -> np.ndarray:
        mujoco.mj_setState(scene.model, data, pose, POSE)
        place(scene.model, data)
        return np.asarray(renderer.render("rgb_array"))

    return draw


def dm_controls(scene: Scene, domain: str | None = None) -> Draw:
    """By the suite's own task of a domain, whose joints are the scene's; without one by the scene's model."""
    from dm_control import mujoco as dm_mujoco
    from dm_control import suite

    if domain is None:
        physics = dm_mujoco.Physics.from_model(dm_mujoco.wrapper.MjModel(scene.model))
    else:
        physics = suite.load(domain, DM_CONTROL_TASKS[domain]).physics
    model, data = physics.model.ptr, physics.data.ptr

    def draw(pose: np.ndarray) -> np.ndarray:
        data.qpos[:] = pose[: model.nq]
        place(model, data)
        return np.asarray(physics.render(*SIZE, camera_id=CAMERA_ID))

    return draw


def arm(poses: np.ndarray, make: Callable[..., Draw], *args: Any) -> harness.Arm:
    draw = make(*args)

    def frames() -> int:
        for pose in poses:
            draw(pose)
        return len(poses)

    return frames


def frames_of(poses: np.ndarray, make: Callable[..., Draw], *args: Any) -> np.ndarray:
    draw = make(*args)
    return np.stack([draw(pose).copy() for pose in poses])


def fidelity(scene: Scene, *peer: Any) -> dict[str, Any]:
    """How far our frames are from those of a peer, a `Draw` maker and its arguments."""
    expected = harness.apart(frames_of, scene.poses, *peer).astype(np.float64)
    found: dict[str, Any] = {"psnr_db": {}, "psnr_db_of_worst_frame": {}}
    for profile in PROFILES:
        difference = harness.apart(frames_of, scene.poses, ours, scene, profile) - expected
        if profile == "reference":
            found["reference_max_difference"] = int(np.abs(difference).max())
            continue
        errors = np.square(difference).mean(axis=(1, 2, 3))
        found["psnr_db"][profile] = decibels(errors.mean())
        found["psnr_db_of_worst_frame"][profile] = decibels(errors.max())
    return found


def decibels(squared_error: float) -> float:
    return round(10.0 * float(np.log10(255.0**2 / max(squared_error, 1e-12))), 1)


def costs(title: str, scene: Scene, peer: str, targets: dict[str, float], *make_peer: Any) -> Any:
    makers = {peer: functools.partial(arm, scene.poses, *make_peer)}
    makers |= {profile: functools.partial(arm, scene.poses, ours, scene, profile) for profile in PROFILES}
    with harness.arms_apart(makers) as arms:
        return harness.compare(
            f"{title}, frames of one process", arms, peer=peer, unit="frame", targets=targets, seconds=1.0
        )


def results() -> dict[str, Any]:
    """All comparisons, printed on the way, and how true the frames are."""
    os.environ.setdefault("MUJOCO_GL", chosen_backend().backend)  # the peers choose otherwise, or not at all
    found, truth = {}, {}
    for domain, targets in DM_CONTROL_TARGETS.items():
        scene = suite_scene(domain)
        found[domain] = costs(domain, scene, DM_CONTROL, targets, dm_controls, scene, domain)
        truth[domain] = fidelity(scene, dm_controls, scene)
    for task in META_WORLD_TASKS:
        scene = meta_world_scene(task)
        if task == META_WORLD_TASKS[0]:
            found["metaworld_reach"] = costs(
                "Meta-World reach", scene, GYMNASIUM, META_WORLD_TARGETS, gymnasiums, scene
            )
        truth[f"metaworld {task}"] = fidelity(scene, gymnasiums, scene)
    for world, facts in truth.items():
        print(f"{world}: {facts}")
    return harness.as_json(found, {"fidelity": truth})


if __name__ == "__main__":
    harness.run(__doc__ or "", results)
