"""Is this machine fit? Rendering backend and versions; `python -m latentctx_envs.doctor` needs no extras."""

import sys
from collections.abc import Iterator
from importlib.metadata import version

TESTED = {"mujoco": "3.3.0", "dm_control": "1.0.28", "metaworld": "3.1.1"}


def examine() -> Iterator[str]:
    """Yield one line a finding.

    Raises:
        RenderingUnavailableError: no OpenGL backend works; the message names the packages to install.
    """
    for package, tested in TESTED.items():
        found = version(package)
        note = "" if found == tested else f" (tested with {tested}: physics and frames may differ)"
        yield f"{package} {found}{note}"
    yield f"rendering: {render_once()}"


def render_once() -> str:
    """The OpenGL backend, after rendering a frame with it.

    Raises:
        RenderingUnavailableError: none works, or the frame is empty.
    """
    import mujoco

    from latentctx_envs.rendering import APT_LINE, Renderer, RenderingUnavailableError, gl_backend

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


if __name__ == "__main__":
    from latentctx_envs.rendering import RenderingUnavailableError

    try:
        for finding in examine():
            print(finding)
    except RenderingUnavailableError as error:
        sys.exit(f"latentctx: {error}")
