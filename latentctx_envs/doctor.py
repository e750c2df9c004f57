"""Is this machine fit? Versions and rendering backends; `python -m latentctx_envs.doctor` needs no extras."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version

from latentctx_envs.opengl import (
    APT_LINE,
    BACKENDS,
    RenderingUnavailableError,
    chosen_backend,
    gl_backend,
    gl_driver,
)

TESTED = {"mujoco": "3.3.0", "dm_control": "1.0.28", "metaworld": "3.1.1"}
TRIAL = """
import sys
from latentctx_envs import doctor, opengl
try:
    doctor.render_once()
except opengl.RenderingUnavailableError as error:
    sys.exit(str(error))
print(opengl.gl_driver())
"""
PATIENCE = 60  # [s] for one backend to render one frame in a fresh interpreter


def examine() -> Iterator[str]:
    """Yield one line a finding.

    Raises:
        RenderingUnavailableError: no OpenGL backend works; the message names the packages to install.
    """
    for package, tested in TESTED.items():
        found = version(package)
        note = "" if found == tested else f" (tested with {tested}: physics and frames may differ)"
        yield f"{package} {found}{note}"
    backend = render_once()
    yield f"rendering: {backend}, {chosen_backend().reason}"
    yield f"rendering: drawn by {gl_driver()}"
    for other in BACKENDS:
        if other != backend:
            yield f"rendering: {other} instead, by MUJOCO_GL={other}: {try_backend(other)}"


def render_once() -> str:
    """The OpenGL backend, after rendering a frame with it.

    Raises:
        RenderingUnavailableError: none works, or the frame is empty.
    """
    chosen_backend()  # refuses in words what the import of mujoco refuses by a stack trace
    import mujoco

    from latentctx_envs.rendering import Renderer

    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><camera pos='0 0 1'/><light pos='0 0 1'/><geom size='.1' rgba='1 0 0 1'/>"
        "</worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = Renderer(model, size=(16, 16))
    frame = renderer.render(data)
    renderer.close()
    if frame.max() == 0:
        raise RenderingUnavailableError(f"{gl_backend()} renders empty frames. Run: {APT_LINE}")
    return gl_backend()


def try_backend(backend: str) -> str:
    """Whether a backend renders in a process of its own, in words: a process can start only one."""
    variables = {**os.environ, "MUJOCO_GL": backend}
    variables.pop("PYOPENGL_PLATFORM", None)  # set by the backend that runs here
    try:
        trial = subprocess.run(
            [sys.executable, "-c", TRIAL], env=variables, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"no, no frame within {PATIENCE} s"
    if trial.returncode == 0:
        return f"works, drawn by {trial.stdout.strip()}"
    return f"no, {(trial.stderr.strip().splitlines() or ['it crashes'])[-1]}"


if __name__ == "__main__":
    try:
        for finding in examine():
            print(finding)
    except RenderingUnavailableError as error:
        sys.exit(f"latentctx: {error}")
