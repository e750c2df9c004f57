"""Frames: dm_control's pixels, profiles, several renderers, forks, backends, tidy exits."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from latentctx_envs import rendering
from latentctx_envs.point_mass.task import load_model
from latentctx_envs.rendering import PROFILES, Renderer, RenderingUnavailableError, RenderProfile

ID = "LatentCtx-PointMass-v0"
STATES = np.random.default_rng(0).uniform(-0.29, 0.29, size=(30, 2))  # where the ball is in a rollout [m]

DM_CONTROL = """
import sys
from pathlib import Path
import dm_control, numpy as np
from dm_control import mujoco
common = Path(dm_control.__file__).parent / "suite" / "common"
assets = {path.name: path.read_bytes() for path in common.glob("*.xml")}
physics = mujoco.Physics.from_xml_string(Path(sys.argv[1]).read_text(), assets)
stored = np.load(sys.argv[2])
frames = []
for qpos in stored["qpos"]:
    with physics.reset_context():
        physics.data.qpos[:] = qpos
        physics.data.mocap_pos[0] = stored["mocap_pos"]
    frames.append(physics.render(84, 84, camera_id=0))
np.save(sys.argv[3], frames)
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
    monkeypatch.setattr(rendering, "_gl", rendering._GL())
    monkeypatch.delenv("MUJOCO_GL", raising=False)


def shot(renderer: Renderer, model: mujoco.MjModel, data: mujoco.MjData, qpos: Any) -> np.ndarray:
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    return renderer.render(data)


def rollout_frames(profile: RenderProfile, model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    renderer = Renderer(model, size=(84, 84), profile=profile)
    return np.stack([shot(renderer, model, data, qpos) for qpos in STATES])


def test_reference_is_pixel_identical_to_dm_control(model, data, tmp_path: Path, run_python) -> None:
    data.mocap_pos[0] = (0.1, -0.2, 0.01)
    np.savez(tmp_path / "states.npz", qpos=STATES, mocap_pos=data.mocap_pos[0])
    arena = Path(rendering.__file__).parent / "point_mass" / "arena.xml"
    files = (arena, tmp_path / "states.npz", tmp_path / "frames.npy")
    run_python(DM_CONTROL, *files, MUJOCO_GL=rendering.gl_backend())
    expected = np.load(tmp_path / "frames.npy")
    assert np.array_equal(rollout_frames("reference", model, data), expected)


def test_fast_is_the_reference_to_the_eye(model, data) -> None:
    reference = rollout_frames("reference", model, data).astype(np.float64)
    errors = np.square(rollout_frames("fast", model, data) - reference).mean(axis=(1, 2, 3))
    psnr = 10 * np.log10(255.0**2 / np.maximum(errors, 1e-12))
    assert psnr.min() >= 38.0


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
    monkeypatch.setattr(rendering, "LIBRARIES", {"egl": "libNoEGL.so.1", "osmesa": "libNoOSMesa.so.8"})
    wanted = ("libNoEGL.so.1", "apt-get install -y libegl1", "libosmesa6")
    with refuses(*wanted, error=RenderingUnavailableError):
        Renderer(model, size=(32, 32)).render(data)


@pytest.mark.usefixtures("fresh_gl")
def test_a_backend_that_does_not_start_is_named_with_its_reason(model, data, monkeypatch, refuses) -> None:
    def broken(backend: str) -> Any:
        raise ImportError(f"no driver for {backend}")

    monkeypatch.setattr(rendering, "_gl_context_class", broken)
    with refuses("no driver for", "apt-get install", "MUJOCO_GL", error=RenderingUnavailableError):
        Renderer(model, size=(32, 32)).render(data)


@pytest.mark.usefixtures("fresh_gl")
def test_osmesa_is_taken_when_only_its_library_is_installed(monkeypatch) -> None:
    installed = {"egl": "libNoEGL.so.1", "osmesa": "libc.so.6"}  # any library that loads
    monkeypatch.setattr(rendering, "LIBRARIES", installed)
    assert rendering._chosen_backend() == "osmesa"


@pytest.mark.usefixtures("fresh_gl")
def test_state_environments_work_without_a_backend(monkeypatch) -> None:
    monkeypatch.setattr(rendering, "_gl_context_class", None)
    with gym.make(ID) as env:
        env.reset(seed=0)
        env.step([0.0, 0.0])


@pytest.mark.usefixtures("fresh_gl")
def test_unknown_mujoco_gl_is_refused_in_words(model, data, monkeypatch, refuses) -> None:
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    with refuses("egl, osmesa, glfw", "'nonsense'", error=RenderingUnavailableError):
        Renderer(model, size=(32, 32)).render(data)


def test_renderers_and_memory_are_flat_over_200_resets() -> None:
    def resident() -> int:  # [bytes]
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    with gym.make(ID, observation="pixels", image_size=32, render_profile="turbo") as env:
        for seed in range(20):
            env.reset(seed=seed)
        gc.collect()
        renderers, memory = len(rendering._gl.renderers), resident()
        for seed in range(200):
            env.reset(seed=seed)
        assert len(rendering._gl.renderers) == renderers
        assert resident() - memory < 8e6


def test_closed_environments_leave_no_renderer_behind() -> None:
    def open_renderers() -> int:
        gc.collect()
        return sum(renderer._context is not None for renderer in rendering._gl.renderers)

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
