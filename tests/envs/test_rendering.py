"""Frames: dm_control's pixels, profiles, several renderers, forks, backends, tidy exits."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from latentctx_envs import opengl, rendering
from latentctx_envs.point_mass.task import load_model
from latentctx_envs.rendering import PROFILES, Renderer, RenderingUnavailableError, RenderProfile
from latentctx_envs.suite import suite_model

ID = "LatentCtx-PointMass-v0"
STATES = np.random.default_rng(0).uniform(-0.29, 0.29, size=(30, 2))  # where the ball is in a rollout [m]

POSE = int(
    mujoco.mjtState.mjSTATE_QPOS | mujoco.mjtState.mjSTATE_MOCAP_POS | mujoco.mjtState.mjSTATE_MOCAP_QUAT
)
DM_CONTROL = """
import sys
import numpy as np
from dm_control import mujoco as dm_control
import mujoco
model = mujoco.MjModel.from_binary_path(sys.argv[1])
physics = dm_control.Physics.from_model(dm_control.wrapper.MjModel(model))
frames = []
for pose in np.load(sys.argv[2]):
    with physics.reset_context():
        mujoco.mj_setState(physics.model.ptr, physics.data.ptr, pose, int(sys.argv[4]))
    frames.append(physics.render(84, 84, camera_id=0))
np.save(sys.argv[3], frames)
"""
GYMNASIUM = """
import sys
import mujoco, numpy as np
from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer
model = mujoco.MjModel.from_binary_path(sys.argv[1])
data = mujoco.MjData(model)
renderer = MujocoRenderer(model, data, width=84, height=84, camera_name="corner2")
frames = []
for pose in np.load(sys.argv[2]):
    mujoco.mj_setState(model, data, pose, int(sys.argv[4]))
    mujoco.mj_forward(model, data)
    frames.append(renderer.render("rgb_array"))
np.save(sys.argv[3], frames)
"""
CLOSING = """
import mujoco
import numpy as np
from latentctx_envs import opengl, opengl_contexts
from latentctx_envs.point_mass.task import load_model
from latentctx_envs.rendering import Renderer

model = load_model()
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
ours = Renderer(model, size=(32, 32))
expected = ours.render(data)
theirs = mujoco.Renderer(model, 32, 32)
theirs.update_scene(data, camera="fixed")
picture = theirs.render()
ours.close()
assert opengl_contexts.contexts_of(opengl.gl_backend()).current not in (0, opengl._gl.address)
assert np.array_equal(theirs.render(), picture)
assert np.array_equal(ours.render(data), expected)
theirs.close()
"""
BESIDE = """
import sys
import gymnasium as gym
import numpy as np
import latentctx_envs

def ours():
    env = gym.make("LatentCtx-PointMass-v0", observation="pixels", image_size=84)
    return lambda: env.reset(seed=0)[0]

def theirs():  # it never makes its context current again
    env = gym.make("HalfCheetah-v5", render_mode="rgb_array")
    env.reset(seed=0)
    return env.render

made = [ours, theirs] if sys.argv[1] == "ours" else [theirs, ours]
draws = [make() for make in made]
before = [draw() for draw in draws]
for _ in range(3):
    for draw, picture in zip(draws, before, strict=True):
        assert picture.std() > 1.0 and np.array_equal(draw(), picture)
"""
FORK = """
import multiprocessing
import gymnasium as gym, numpy as np, latentctx_envs
from latentctx_envs.rendering import RenderingUnavailableError
env = gym.make("LatentCtx-PointMass-v0", observation="pixels", image_size=32)
parent, _ = env.reset(seed=0)

def work():
    try:
        assert np.array_equal(env.reset(seed=0)[0], parent)
    except RenderingUnavailableError as refusal:
        assert "\\n" not in str(refusal)
    env.close()

child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join(30)
if child.exitcode is None:
    child.kill()
assert child.exitcode == 0, child.exitcode
assert np.array_equal(env.reset(seed=0)[0], parent), "the parent's frames changed"
"""
FORK_FIRST = """
import multiprocessing
import gymnasium as gym, numpy as np, latentctx_envs
env = gym.make("LatentCtx-PointMass-v0", observation="pixels", image_size=32)
context = multiprocessing.get_context("fork")
frames = context.SimpleQueue()
child = context.Process(target=lambda: frames.put(env.reset(seed=0)[0]))
child.start()
child.join(30)
if child.exitcode is None:
    child.kill()
assert child.exitcode == 0, child.exitcode
assert np.array_equal(frames.get(), env.reset(seed=0)[0])
"""
LEAVE_OPEN = """
import sys
import gymnasium as gym, latentctx_envs
one = gym.make("LatentCtx-PointMass-v0", observation="pixels", render_mode="rgb_array")
two = gym.make_vec("LatentCtx-PointMass-v0", num_envs=2, observation="pixels")
one.reset(seed=0), two.reset(seed=0), one.render()
sys.kept = lambda: (one, two)  # with it this module's globals outlive the GL library's
"""


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return load_model()


@pytest.fixture(scope="module")
def data(model: mujoco.MjModel) -> mujoco.MjData:
    return mujoco.MjData(model)


@pytest.fixture
def fresh_gl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of a process that has not rendered yet; the real context is put back afterwards."""
    monkeypatch.setattr(opengl, "_gl", opengl._GL())
    for name in ("MUJOCO_GL", *opengl.DISPLAYS):
        monkeypatch.delenv(name, raising=False)


def shot(renderer: Renderer, model: mujoco.MjModel, data: mujoco.MjData, qpos: Any) -> np.ndarray:
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    return renderer.render(data)


class Scene(NamedTuple):
    """A world's model and camera, the poses (n, k) of a rollout, and whose pixels its frames must have."""

    model: mujoco.MjModel
    camera: str | int
    poses: np.ndarray
    peer: str

    def frames(self, profile: RenderProfile) -> np.ndarray:
        data, frames = mujoco.MjData(self.model), []
        renderer = Renderer(self.model, size=(84, 84), camera=self.camera, profile=profile)
        for pose in self.poses:
            mujoco.mj_setState(self.model, data, pose, POSE)
            mujoco.mj_forward(self.model, data)
            frames.append(renderer.render(data))
        renderer.close()
        return np.stack(frames)


def pose_of(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    pose = np.empty(mujoco.mj_stateSize(model, POSE))
    mujoco.mj_getState(model, data, pose, POSE)
    return pose


def suite_scene(world: str) -> Scene:
    model = load_model() if world == "point_mass" else suite_model(world)
    data, rng, poses = mujoco.MjData(model), np.random.default_rng(0), []
    for index in range(15):
        for _ in range(10):
            data.ctrl[:] = rng.uniform(-1.0, 1.0, model.nu)
            mujoco.mj_step(model, data)
        if world == "point_mass":  # random forces would keep it in the middle
            data.qpos[:], data.mocap_pos[0] = STATES[index], (0.1, -0.2, 0.01)
        poses.append(pose_of(model, data))
    return Scene(model, 0, np.stack(poses), DM_CONTROL)


def reach_scene() -> Scene:
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE

    env = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE["reach-v3-goal-observable"](seed=0)
    observation, _ = env.reset()
    poses = []
    for step in range(50):
        if step % 10 == 0:
            poses.append(pose_of(env.model, env.data))
        to_goal = 10.0 * (observation[36:39] - observation[:3])
        observation, *_ = env.step(np.append(to_goal, 0.0).clip(-1.0, 1.0).astype(np.float32))
    return Scene(env.model, "corner2", np.stack(poses), GYMNASIUM)


@pytest.fixture(scope="module", params=["point_mass", "cheetah", "walker", "meta_world"])
def scene(request: pytest.FixtureRequest) -> Scene:
    return reach_scene() if request.param == "meta_world" else suite_scene(request.param)


@pytest.fixture(scope="module")
def reference(scene: Scene) -> np.ndarray:
    return scene.frames("reference")


def test_reference_is_pixel_identical_to_the_peer(scene, reference, tmp_path: Path, run_python) -> None:
    mujoco.mj_saveModel(scene.model, str(tmp_path / "model.mjb"))
    np.save(tmp_path / "poses.npy", scene.poses)
    files = (tmp_path / name for name in ("model.mjb", "poses.npy", "frames.npy"))
    run_python(scene.peer, *files, POSE, MUJOCO_GL=opengl.gl_backend())
    assert np.array_equal(reference, np.load(tmp_path / "frames.npy"))


def test_fast_is_the_reference_to_the_eye(scene, reference) -> None:
    error = np.square(scene.frames("fast") - reference.astype(np.float64)).mean()  # over the rollout
    assert 10 * np.log10(255.0**2 / error) >= 38.0


def test_turbo_shows_everything_in_its_place(scene, reference) -> None:
    """Without shadows the light differs, but each pose has the edges of its own reference, more than of another's."""
    frames = (scene.frames("turbo"), reference)
    seen, expected = ([edges(frame) for frame in some[::3]] for some in frames)  # poses well apart
    alike = np.corrcoef(seen, expected)[: len(seen), len(seen) :]
    assert alike.diagonal().min() > 0.6
    assert np.array_equal(alike.argmax(axis=1), np.arange(len(seen)))


def edges(frame: np.ndarray) -> np.ndarray:
    grey = frame.astype(np.float64).mean(axis=2)
    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    return np.hypot(across, down).reshape(-1)


def test_profiles_are_the_literal_type() -> None:
    assert set(rendering.QUALITIES) == set(get_args(RenderProfile)) == set(PROFILES)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_shows_the_ball_where_it_is(profile: RenderProfile, model, data) -> None:
    renderer = Renderer(model, size=(84, 84), profile=profile)
    places = {"up left": (-0.2, 0.2), "down right": (0.2, -0.2)}
    frames = {name: shot(renderer, model, data, qpos).astype(int) for name, qpos in places.items()}
    changed = np.abs(frames["up left"] - frames["down right"]).max(axis=2) > 40
    assert changed[:42, :42].any()
    assert changed[42:, 42:].any()
    assert not changed[:42, 42:].any()
    assert not changed[42:, :42].any()


def test_frames_are_not_square_by_accident(model, data) -> None:
    assert Renderer(model, size=(20, 36)).render(data).shape == (20, 36, 3)


def test_cameras_are_chosen_by_name_or_index(model, data) -> None:
    by_name, by_index, other = (
        shot(Renderer(model, size=(32, 32), camera=camera), model, data, (0.1, 0.1))
        for camera in ("chase", 1, "fixed")
    )
    assert np.array_equal(by_name, by_index)
    assert not np.array_equal(by_name, other)


def test_visible_geoms_are_drawn_without_touching_the_model(model, data) -> None:
    alpha = model.geom("target").rgba[3]
    plain, shown = (Renderer(model, size=(48, 48), visible_geoms=geoms) for geoms in ((), ("target",)))
    assert not np.array_equal(shot(plain, model, data, (0.2, 0.2)), shot(shown, model, data, (0.2, 0.2)))
    assert model.geom("target").rgba[3] == alpha == 0.0


def test_out_is_filled_in_place(model, data) -> None:
    renderer = Renderer(model, size=(32, 32))
    out = np.zeros((32, 32, 3), np.uint8)
    expected = shot(renderer, model, data, (0.1, 0.1))
    assert renderer.render(data, out=out) is out
    assert np.array_equal(out, expected)


def test_a_frame_is_not_overwritten_by_the_next(model, data) -> None:
    renderer = Renderer(model, size=(32, 32))
    first = shot(renderer, model, data, (-0.2, 0.2))
    kept = first.copy()
    shot(renderer, model, data, (0.2, -0.2))
    assert np.array_equal(first, kept)


def test_a_new_renderer_does_not_spoil_the_next_frame_of_another(model, data) -> None:
    renderer = Renderer(model, size=(84, 84))
    expected = shot(renderer, model, data, (0.1, 0.1))
    newcomer = Renderer(model, size=(48, 64), profile="turbo")
    newcomer.render(data)
    assert np.array_equal(renderer.render(data), expected)


def test_interleaved_renderers_give_the_frames_of_lone_ones(model, data) -> None:
    def makers() -> Iterator[Renderer]:
        for size, profile in (((84, 84), "reference"), ((48, 64), "fast"), ((32, 32), "turbo")):
            yield Renderer(model, size=size, profile=profile)

    alone = [[shot(one, model, data, qpos) for qpos in STATES[:4]] for one in makers()]
    together = list(makers())
    for index, qpos in enumerate(STATES[:4]):
        for frames, renderer in zip(alone, together, strict=True):
            assert np.array_equal(shot(renderer, model, data, qpos), frames[index])


def test_closing_one_renderer_leaves_the_others_alone(model, data) -> None:
    kept, closed = Renderer(model, size=(48, 48)), Renderer(model, size=(32, 32))
    expected = shot(kept, model, data, (0.1, 0.1))
    closed.render(data)
    closed.close()
    assert np.array_equal(kept.render(data), expected)


def test_render_works_after_close(model, data) -> None:
    renderer = Renderer(model, size=(32, 32))
    expected = shot(renderer, model, data, (0.1, 0.1))
    renderer.close()
    renderer.close()
    assert np.array_equal(renderer.render(data), expected)


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_other_libraries_that_draw_in_the_same_thread_keep_their_pictures_and_we_ours(
    first, run_python
) -> None:
    run_python(BESIDE, first, MUJOCO_GL=opengl.gl_backend())


def test_closing_a_renderer_leaves_another_librarys_context_current(run_python) -> None:
    run_python(CLOSING, MUJOCO_GL=opengl.gl_backend())


def test_forked_child_renders_correctly_or_refuses_in_words(run_python) -> None:
    run_python(FORK)


def test_child_forked_before_the_first_frame_renders_correctly(run_python) -> None:
    run_python(FORK_FIRST)


def test_another_thread_is_refused_in_words(model, data, refuses) -> None:
    from concurrent.futures import ThreadPoolExecutor

    Renderer(model, size=(32, 32)).render(data)
    with ThreadPoolExecutor(1) as pool, refuses("thread", "processes", error=RenderingUnavailableError):
        pool.submit(Renderer(model, size=(32, 32)).render, data).result()


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"profile": "best"}, ("reference, fast, turbo", "'best'")),
        ({"camera": "nose"}, ("['fixed', 'chase']", "'nose'")),
        ({"camera": 2}, ("['fixed', 'chase']", "got 2")),
        ({"camera": -1}, ("['fixed', 'chase']", "got -1")),
        ({"camera": None}, ("['fixed', 'chase']", "got None")),
        ({"size": (0, 32)}, ("at least 1 pixel", "(0, 32)")),
        ({"visible_geoms": ("nose",)}, ("'target'", "'nose'")),
    ],
)
def test_unknown_choices_are_refused_in_words(model, refuses, kwargs: dict[str, Any], words) -> None:
    with refuses(*words):
        Renderer(model, **{"size": (32, 32), **kwargs})


@pytest.mark.usefixtures("fresh_gl")
def test_without_an_opengl_library_the_refusal_names_the_packages(model, data, monkeypatch, refuses) -> None:
    monkeypatch.setattr(opengl, "LIBRARIES", {"egl": "libNoEGL.so.1", "osmesa": "libNoOSMesa.so.8"})
    wanted = ("libNoEGL.so.1", "apt-get install -y libegl1", "libosmesa6")
    with refuses(*wanted, error=RenderingUnavailableError):
        Renderer(model, size=(32, 32)).render(data)


@pytest.mark.usefixtures("fresh_gl")
def test_a_backend_that_does_not_start_is_named_with_its_reason(model, data, monkeypatch, refuses) -> None:
    def broken(backend: str) -> Any:
        raise ImportError(f"no driver for {backend}")

    monkeypatch.setattr(opengl, "_context_class", broken)
    with refuses("no driver for", "apt-get install", "MUJOCO_GL", error=RenderingUnavailableError):
        Renderer(model, size=(32, 32)).render(data)


@pytest.mark.usefixtures("fresh_gl")
def test_osmesa_is_taken_when_only_its_library_is_installed(monkeypatch) -> None:
    installed = {"egl": "libNoEGL.so.1", "osmesa": "libc.so.6"}  # any library that loads
    monkeypatch.setattr(opengl, "LIBRARIES", installed)
    assert opengl.chosen_backend().backend == "osmesa"


@pytest.mark.usefixtures("fresh_gl")
def test_state_environments_work_without_a_backend(monkeypatch) -> None:
    monkeypatch.setattr(opengl, "_context_class", None)
    with gym.make(ID) as env:
        env.reset(seed=0)
        env.step([0.0, 0.0])


@pytest.mark.usefixtures("fresh_gl")
def test_unknown_mujoco_gl_is_refused_in_words(model, data, monkeypatch, refuses) -> None:
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    with refuses("egl, osmesa, glfw", "'nonsense'", error=RenderingUnavailableError):
        Renderer(model, size=(32, 32)).render(data)


def resident() -> int:
    """Memory of this process [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_renderers_and_memory_are_flat_over_200_resets() -> None:
    with gym.make(ID, observation="pixels", image_size=32, render_profile="turbo") as env:
        for seed in range(20):
            env.reset(seed=seed)
        gc.collect()
        renderers, memory = len(opengl._gl.users), resident()
        for seed in range(200):
            env.reset(seed=seed)
        assert len(opengl._gl.users) == renderers
        assert resident() - memory < 8e6


@pytest.mark.slow
def test_memory_is_flat_over_1000_renderers() -> None:
    plain = mujoco.MjModel.from_xml_string(  # without textures, whose room the allocator keeps for a while
        "<mujoco><worldbody><camera pos='0 0 1'/><light pos='0 0 1'/><geom size='.1'/></worldbody></mujoco>"
    )
    data = mujoco.MjData(plain)

    def open_and_close(count: int) -> None:
        for _ in range(count):
            renderer = Renderer(plain, size=(32, 32), profile="fast")
            renderer.render(data)
            renderer.close()

    open_and_close(100)
    gc.collect()
    renderers, memory = len(opengl._gl.users), resident()
    open_and_close(1000)
    gc.collect()
    assert len(opengl._gl.users) <= renderers
    assert resident() - memory < 8e6


def test_closed_environments_leave_no_renderer_behind() -> None:
    def open_renderers() -> int:
        gc.collect()
        return sum(renderer._context is not None for renderer in opengl._gl.users)

    before = open_renderers()
    envs = [gym.make(ID, observation="pixels", image_size=32) for _ in range(5)]
    for env in envs:
        env.reset(seed=0)
    assert open_renderers() == before + 5
    for env in envs:
        env.close()
    assert open_renderers() == before


def test_interpreter_exits_silently_with_open_renderers(run_python) -> None:
    done = run_python(LEAVE_OPEN)
    assert (done.stdout, done.stderr) == ("", "")


def test_turbo_draws_small_balls_wide_enough_to_be_placed() -> None:
    model = load_model()
    pictures = {}
    for profile in ("fast", "turbo"):
        renderer = Renderer(model, size=(48, 48), profile=profile)
        pictures[profile] = renderer.render(posed(model, (0.1, 0.1))).astype(int)
        away = renderer.render(posed(model, (-0.2, -0.2))).astype(int)
        changed = np.abs(pictures[profile] - away).sum(axis=-1)[:24, 24:] > 60  # the corner of the first pose
        pictures[profile] = changed.sum()
        renderer.close()
    assert pictures["fast"] < 8  # the ball is a pixel and a half wide
    assert 9 <= pictures["turbo"] <= 20  # four pixels


def posed(model: mujoco.MjModel, place: tuple[float, float]) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[:] = place
    mujoco.mj_forward(model, data)
    return data
