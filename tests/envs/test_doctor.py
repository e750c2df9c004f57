"""The doctor's words: which backend, why, who draws, and what the others lack."""

import os

import pytest

from latentctx_envs import doctor, opengl
from latentctx_envs.opengl import RenderingUnavailableError, chosen_backend


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice made and no display, whatever the machine has."""
    for name in ("MUJOCO_GL", *opengl.DISPLAYS):
        monkeypatch.delenv(name, raising=False)


def test_the_variable_is_the_reason_when_it_is_set(monkeypatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "EGL")
    assert chosen_backend() == ("egl", "because MUJOCO_GL=egl")


def test_the_first_library_is_the_reason_otherwise(monkeypatch) -> None:
    monkeypatch.setattr(opengl, "LIBRARIES", {"egl": "libNoEGL.so.1", "osmesa": "libc.so.6"})
    backend, reason = chosen_backend()
    assert backend == "osmesa"
    assert "not set" in reason and "libc.so.6" in reason


def test_glfw_is_the_last_resort_where_a_display_is(monkeypatch) -> None:
    monkeypatch.setattr(opengl, "LIBRARIES", {"egl": "libNoEGL.so.1", "osmesa": "libNoOSMesa.so.8"})
    monkeypatch.setenv("DISPLAY", ":7")
    backend, reason = chosen_backend()
    assert backend == "glfw"
    assert "DISPLAY=:7" in reason


def test_glfw_without_a_display_is_refused_in_words(monkeypatch, refuses) -> None:
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with refuses("needs a display", "xvfb-run", "MUJOCO_GL=egl", error=RenderingUnavailableError):
        chosen_backend()


def test_a_chosen_backend_whose_library_is_missing_names_it(monkeypatch, refuses) -> None:
    monkeypatch.setattr(opengl, "LIBRARIES", {"egl": "libEGL.so.1", "osmesa": "libNoOSMesa.so.8"})
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with refuses("libNoOSMesa.so.8", "apt-get install", error=RenderingUnavailableError):
        chosen_backend()


def test_the_doctor_tells_the_choice_the_driver_and_the_others(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "try_backend", "tried {}".format)
    findings = [finding for finding in doctor.examine() if finding.startswith("rendering")]
    running = opengl.gl_backend()
    assert findings[0].startswith(f"rendering: {running}, because MUJOCO_GL")
    assert "drawn by" in findings[1] and ("CPU" in findings[1] or "GPU" in findings[1])
    assert {other for other in opengl.BACKENDS if f"tried {other}" in "".join(findings)} == {
        *opengl.BACKENDS
    } - {running}


def test_a_backend_is_tried_in_a_process_of_its_own() -> None:
    assert "needs a display" in doctor.try_backend("glfw")
    assert doctor.try_backend(opengl.gl_backend()).startswith("works, drawn by ")


def test_an_unknown_choice_is_refused_before_mujoco_refuses_it(run_python) -> None:
    code = """
from latentctx_envs import doctor, opengl
try:
    doctor.render_once()
except opengl.RenderingUnavailableError as refusal:
    assert "egl, osmesa, glfw" in str(refusal)
else:
    raise SystemExit("not refused")
"""
    run_python(code, MUJOCO_GL="nonsense")


def test_raster_threads_are_off_only_while_the_driver_starts(monkeypatch) -> None:
    monkeypatch.delenv("LP_NUM_THREADS", raising=False)
    with opengl._no_raster_threads():
        assert os.environ["LP_NUM_THREADS"] == "0"
    assert "LP_NUM_THREADS" not in os.environ


def test_a_users_number_of_raster_threads_is_kept(monkeypatch) -> None:
    monkeypatch.setenv("LP_NUM_THREADS", "3")
    with opengl._no_raster_threads():
        assert os.environ["LP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("profile", "threads"), [("reference", "unset"), ("fast", "0"), ("turbo", "0")])
def test_only_reference_frames_of_a_lone_process_get_raster_threads(
    profile: str, threads: str, run_python
) -> None:
    code = f"""
import os, mujoco
from latentctx_envs import opengl
from latentctx_envs.rendering import Renderer
seen = []
make = opengl._context_class
opengl._context_class = lambda name: seen.append(os.environ.get("LP_NUM_THREADS", "unset")) or make(name)
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><camera/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
Renderer(model, size=(8, 8), profile={profile!r}).render(data)
print(seen)
"""
    assert run_python(code).stdout.strip() == f"[{threads!r}]"
