"""Which OpenGL context a thread draws with, and making one current again that another library had made so.

Libraries that draw (dm_control, gymnasium, MuJoCo's own renderer) have contexts of their own and each expects to find its
own current. The system's libraries are asked directly: they answer in less than a microsecond and start nothing.
"""

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, partial
from typing import Any

EGL, OSMESA = "libEGL.so.1", "libOSMesa.so.8"
DRAW, READ = 0x3059, 0x305A  # EGL_DRAW, EGL_READ
TYPE = 0x23  # OSMESA_TYPE
Restore = Callable[[], Any]


class Contexts(ABC):
    """The contexts of one backend, whose library must be there."""

    @property
    @abstractmethod
    def current(self) -> int:
        """Address of the context that is current in this thread, 0 if there is none."""

    @abstractmethod
    def kept(self) -> Restore:
        """What makes the current context current again; there must be one."""


class EGLContexts(Contexts):
    """By EGL."""

    def __init__(self) -> None:
        self._egl = ctypes.CDLL(EGL)
        for name in ("eglGetCurrentContext", "eglGetCurrentDisplay", "eglGetCurrentSurface"):
            getattr(self._egl, name).restype = ctypes.c_void_p
        self._current = self._egl.eglGetCurrentContext

    @property
    def current(self) -> int:
        """See `Contexts`."""
        return self._current() or 0

    def kept(self) -> Restore:
        """See `Contexts`; with its display and surfaces."""
        egl = self._egl
        surfaces = map(egl.eglGetCurrentSurface, (DRAW, READ))
        handles = map(ctypes.c_void_p, (egl.eglGetCurrentDisplay(), *surfaces, self.current))
        return partial(egl.eglMakeCurrent, *handles)


class OSMesaContexts(Contexts):
    """By OSMesa."""

    def __init__(self) -> None:
        self._osmesa = ctypes.CDLL(OSMESA)
        self._osmesa.OSMesaGetCurrentContext.restype = ctypes.c_void_p

    @property
    def current(self) -> int:
        """See `Contexts`."""
        return self._osmesa.OSMesaGetCurrentContext() or 0

    def kept(self) -> Restore:
        """See `Contexts`; with the buffer that it draws into."""
        handle, buffer = ctypes.c_void_p(self.current), ctypes.c_void_p()
        width, height, layout, kind = (ctypes.c_int() for _ in range(4))
        self._osmesa.OSMesaGetColorBuffer(handle, *map(ctypes.byref, (width, height, layout, buffer)))
        self._osmesa.OSMesaGetIntegerv(TYPE, ctypes.byref(kind))
        return partial(self._osmesa.OSMesaMakeCurrent, handle, buffer, kind, width, height)


class GLFWContexts(Contexts):
    """Of GLFW's windows."""

    @property
    def current(self) -> int:
        """See `Contexts`."""
        return ctypes.cast(window, ctypes.c_void_p).value or 0 if (window := self._window()) else 0

    def kept(self) -> Restore:
        """See `Contexts`."""
        import glfw

        return partial(glfw.make_context_current, self._window())

    def _window(self) -> Any:
        import glfw

        try:
            return glfw.get_current_context()
        except glfw.GLFWError:  # it was not started
            return None


@cache
def contexts_of(backend: str) -> Contexts:
    """The contexts of "egl", "osmesa" or "glfw"."""
    return {"egl": EGLContexts, "osmesa": OSMesaContexts, "glfw": GLFWContexts}[backend]()
