"""The process' one OpenGL context: which backend draws, why, and on what.

It is made at the first frame and never inherited through fork. Freeing an EGL context unbinds whichever is current,
and later frames are silent garbage, so the context lives until exit. Other libraries may draw in the same thread: ours is
current only within `drawing()`.
"""

import atexit
import contextlib
import ctypes
import dataclasses
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

from latentctx_envs.opengl_contexts import EGL, OSMESA, contexts_of

BACKENDS = ("egl", "osmesa", "glfw")
LIBRARIES = {"egl": EGL, "osmesa": OSMESA}  # of the backends that need no display
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")  # one of them names the display that GLFW needs
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software")  # in the names of drivers that draw on the CPU
APT_LINE = "apt-get install -y libegl1 libgl1-mesa-dri libopengl0 libosmesa6"


class RenderingUnavailableError(RuntimeError):
    """No OpenGL backend could be started."""


class Choice(NamedTuple):
    """A backend and the words that follow its name: why it was taken."""

    backend: str
    reason: str


@dataclasses.dataclass
class _GL:
    """The running context and the objects whose resources live in it; they have a method `close`."""

    context: Any = None
    address: int = 0  # of the context, as the backend's library tells it
    backend: str = ""
    pid: int | None = None
    thread: int | None = None
    users: "weakref.WeakSet[Any]" = dataclasses.field(default_factory=weakref.WeakSet)


_gl = _GL()


def gl_backend(*, raster_threads: bool = False) -> str:
    """Name of the running OpenGL backend ("egl", "osmesa" or "glfw"), starting it if need be.

    `MUJOCO_GL` chooses one; without it EGL is taken if its library is installed, else OSMesa, else GLFW if there is
    a display.

    Args:
        raster_threads: let Mesa's software driver start threads of its own; the first call of a process decides.

    Raises:
        RenderingUnavailableError: none could be started; the message names the packages to install.
    """
    if _gl.context is None:
        _start(raster_threads)
    if _gl.pid != os.getpid():  # the driver's threads stayed behind in the parent: frames fail or hang
        raise RenderingUnavailableError(
            "this process was forked from one that had rendered before, and OpenGL does not survive that; "
            "start workers with 'spawn' or 'forkserver' (gym.make_vec: vector_kwargs={'context': 'forkserver'}), or before the "
            "first frame."
        )
    if _gl.thread != threading.get_ident():
        raise RenderingUnavailableError(
            "frames must be rendered in the thread that rendered first in this process; "
            "use worker processes instead of threads."
        )
    return _gl.backend


@contextlib.contextmanager
def drawing(*, raster_threads: bool = False) -> Iterator[None]:
    """This process' context is current within, started if need be; then whichever another library had made current is so again.

    Without this, frames that are drawn after another library drew in this thread come from its context, and its from ours.

    Args:
        raster_threads: as in `gl_backend`.

    Raises:
        RenderingUnavailableError: as `gl_backend` does.
    """
    contexts = contexts_of(_gl.backend or chosen_backend().backend)
    before = contexts.current
    foreign = contexts.kept() if before not in (0, _gl.address) else None
    gl_backend(raster_threads=raster_threads)
    if before != _gl.address:
        _gl.context.make_current()
    try:
        yield
    finally:
        if foreign is not None:
            foreign()


def draws_here() -> bool:
    """Whether this process' context runs, and in this thread."""
    return _gl.context is not None and (_gl.pid, _gl.thread) == (os.getpid(), threading.get_ident())


def gl_driver() -> str:
    """Who draws, in words: "software on the CPU (Mesa, llvmpipe ...)" or "a GPU (vendor, renderer)".

    Raises:
        RenderingUnavailableError: no backend could be started.
    """
    with drawing():
        from OpenGL import GL  # the backend has told PyOpenGL which platform to load

        vendor, renderer = (GL.glGetString(name).decode() for name in (GL.GL_VENDOR, GL.GL_RENDERER))
    where = "software on the CPU" if any(word in renderer.lower() for word in SOFTWARE) else "a GPU"
    return f"{where} ({vendor}, {renderer})"


def close_before_exit(user: Any) -> None:
    """Have `user.close()` called before this process' context is freed, if the user still lives."""
    _gl.users.add(user)


def free_before_others() -> None:
    """Have this process' context freed before whatever was registered for the exit since it was made.

    dm_control, imported later, ends the EGL display at exit, and no context can be freed after that.
    """
    if _gl.context is not None:
        atexit.unregister(_stop)
        atexit.register(_stop)  # the last to be registered is the first to run


def chosen_backend() -> Choice:
    """MUJOCO_GL's backend, else the first that can work here: PyOpenGL allows one choice a process.

    Raises:
        RenderingUnavailableError: MUJOCO_GL is unknown, or what it needs is not there, or nothing is.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if wanted and wanted not in BACKENDS:
        raise RenderingUnavailableError(f"MUJOCO_GL must be one of {', '.join(BACKENDS)}; got {wanted!r}.")
    if wanted:
        _refuse_missing(wanted)
        return Choice(wanted, f"because MUJOCO_GL={wanted}")
    for backend, library in LIBRARIES.items():
        if _loads(library):
            return Choice(backend, f"because MUJOCO_GL is not set and {library} is the first that loads")
    if _display() is not None:
        return Choice("glfw", f"because MUJOCO_GL is not set, only a display is there ({_display()})")
    raise RenderingUnavailableError(
        f"no OpenGL library is installed ({', '.join(LIBRARIES.values())}). On Debian or Ubuntu run: {APT_LINE}"
    )


def _refuse_missing(backend: str) -> None:
    """Say in words what a chosen backend lacks, before MuJoCo says it by a stack trace."""
    if backend == "glfw" and _display() is None:
        raise RenderingUnavailableError(
            "MUJOCO_GL=glfw needs a display, and DISPLAY is not set; log in to a desktop, run the command by "
            "xvfb-run (apt-get install -y xvfb), or choose MUJOCO_GL=egl or osmesa, which need none."
        )
    if backend in LIBRARIES and not _loads(LIBRARIES[backend]):
        raise RenderingUnavailableError(
            f"MUJOCO_GL={backend} needs {LIBRARIES[backend]}, which does not load. "
            f"On Debian or Ubuntu run: {APT_LINE}"
        )


def _start(raster_threads: bool) -> None:
    backend = chosen_backend().backend
    try:
        with contextlib.nullcontext() if raster_threads else _no_raster_threads():
            context = _context_class(backend)(64, 64)
            context.make_current()
    except Exception as error:  # PyOpenGL raises many types, AttributeError among them
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RenderingUnavailableError(
            f"OpenGL by {backend} does not start ({reason}). On Debian or Ubuntu run: {APT_LINE}; "
            "or choose another backend by MUJOCO_GL=egl, osmesa or glfw."
        ) from None
    _gl.context, _gl.address, _gl.backend = context, contexts_of(backend).current, backend
    _gl.pid, _gl.thread = os.getpid(), threading.get_ident()
    _gl.users = weakref.WeakSet()
    atexit.register(_stop)


@contextlib.contextmanager
def _no_raster_threads() -> Iterator[None]:
    """Mesa's software driver rasterises in the calling thread, unless LP_NUM_THREADS is set.

    Its threads take a quarter off the wall time of a large or anti-aliased frame with shadows while a core is idle, for
    half as much CPU time again; a third of a "turbo" frame is spent on handing tiles over to them.
    """
    if "LP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["LP_NUM_THREADS"] = "0"  # read once, when the driver starts
    try:
        yield
    finally:
        del os.environ["LP_NUM_THREADS"]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _display() -> str | None:
    return next((f"{name}={os.environ[name]}" for name in DISPLAYS if os.environ.get(name)), None)


def _context_class(backend: str) -> Any:
    if backend == "glfw":
        return _glfw_context_class()
    if backend == "egl":
        from mujoco.egl import GLContext
    else:
        from mujoco.osmesa import GLContext
    return GLContext


def _glfw_context_class() -> Any:
    import glfw
    from mujoco.glfw import GLContext

    glfw.ERROR_REPORTING = "exception"  # by default it warns, and MuJoCo then ends the process
    return GLContext


def _stop() -> None:
    if _gl.pid != os.getpid():
        return  # a forked child must not free its parent's context
    for user in list(_gl.users):
        user.close()
    if _gl.context is not None:
        _gl.context.free()
        _gl.context = None
