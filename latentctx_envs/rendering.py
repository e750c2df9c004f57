"""Frames from MuJoCo: size, camera and quality profile; uint8 arrays of shape (height, width, 3).

One OpenGL context per process, made at the first frame and never inherited through fork. Freeing an EGL
context unbinds whichever is current, and later frames are silent garbage, so the context lives until exit.
"""

import atexit
import contextlib
import copy
import ctypes
import dataclasses
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Literal, get_args

import mujoco
import numpy as np

RenderProfile = Literal["reference", "fast", "turbo"]
PROFILES: tuple[str, ...] = get_args(RenderProfile)
BACKENDS = ("egl", "osmesa", "glfw")
LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}  # of the backends that need no display
STARTED = (
    "_scene",
    "_option",
    "_perturb",
    "_camera",
    "_shadowless",
    "_rect",
    "_buffer",
)  # of a Renderer; not picklable
APT_LINE = "apt-get install -y libegl1 libgl1-mesa-dri libopengl0 libosmesa6"


class RenderingUnavailableError(RuntimeError):
    """No OpenGL backend could be started."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """What a profile changes in MuJoCo's renderer; None keeps the model's own value."""

    shadow_size: int | None = None  # edge of the square shadow map [texels]
    slices: int | None = None  # facets of round geoms around their axis
    stacks: int | None = None  # facets of round geoms along their axis
    samples: int | None = None  # MSAA samples a pixel
    shadow: bool = True
    plane_shadow: bool = (
        True  # planes hide nothing but what is below the floor, yet fill the whole shadow map
    )
    reflection: bool = True


QUALITIES: dict[str, Quality] = {
    "reference": Quality(),
    "fast": Quality(shadow_size=512, slices=14, stacks=4, plane_shadow=False),
    "turbo": Quality(slices=12, stacks=6, samples=0, shadow=False, reflection=False),
}


@dataclasses.dataclass
class _GL:
    """The process' one GL context and the renderers that live in it."""

    context: Any = None
    backend: str = ""
    pid: int | None = None
    thread: int | None = None
    renderers: "weakref.WeakSet[Renderer]" = dataclasses.field(default_factory=weakref.WeakSet)


_gl = _GL()


def gl_backend() -> str:
    """Name of the running OpenGL backend ("egl", "osmesa" or "glfw"), starting it if need be.

    `MUJOCO_GL` chooses one; without it EGL is taken if its library is installed, else OSMesa.

    Raises:
        RenderingUnavailableError: none could be started; the message names the packages to install.
    """
    if _gl.context is None:
        _start_gl()
    if _gl.pid != os.getpid():  # the driver's threads stayed behind in the parent: frames fail or hang
        raise RenderingUnavailableError(
            "this process was forked from one that had rendered before, and OpenGL does not survive that; "
            "start workers with 'spawn' or 'forkserver', or before the first frame."
        )
    if _gl.thread != threading.get_ident():
        raise RenderingUnavailableError(
            "frames must be rendered in the thread that rendered first in this process; "
            "use worker processes instead of threads."
        )
    return _gl.backend


def _start_gl() -> None:
    backend = _chosen_backend()
    try:
        with _no_raster_threads():
            context = _gl_context_class(backend)(64, 64)
            context.make_current()
    except Exception as error:  # PyOpenGL raises many types, AttributeError among them
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RenderingUnavailableError(
            f"OpenGL by {backend} does not start ({reason}). On Debian or Ubuntu run: {APT_LINE}; "
            "or choose another backend by MUJOCO_GL=egl, osmesa or glfw."
        ) from None
    _gl.context, _gl.backend = context, backend
    _gl.pid, _gl.thread = os.getpid(), threading.get_ident()
    _gl.renderers = weakref.WeakSet()
    atexit.register(_stop_gl)


@contextlib.contextmanager
def _no_raster_threads() -> Iterator[None]:
    """Mesa's software driver rasterises in the calling thread, unless LP_NUM_THREADS is set.

    Handing tiles of a small frame to threads costs more than it saves: a third of a "turbo" frame.
    """
    if "LP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["LP_NUM_THREADS"] = "0"  # read once, when the driver starts
    try:
        yield
    finally:
        del os.environ["LP_NUM_THREADS"]


def _chosen_backend() -> str:
    """MUJOCO_GL's backend, else the first whose library loads: PyOpenGL allows one choice a process."""
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if wanted and wanted not in BACKENDS:
        raise RenderingUnavailableError(f"MUJOCO_GL must be one of {', '.join(BACKENDS)}; got {wanted!r}.")
    if wanted:
        return wanted
    for backend, library in LIBRARIES.items():
        if _loads(library):
            return backend
    raise RenderingUnavailableError(
        f"no OpenGL library is installed ({', '.join(LIBRARIES.values())}). On Debian or Ubuntu run: {APT_LINE}"
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _gl_context_class(backend: str) -> Any:
    if backend == "egl":
        from mujoco.egl import GLContext
    elif backend == "osmesa":
        from mujoco.osmesa import GLContext
    else:
        from mujoco.glfw import GLContext
    return GLContext


def _stop_gl() -> None:
    if _gl.pid != os.getpid():
        return  # a forked child must not free its parent's context
    for renderer in list(_gl.renderers):
        renderer.close()
    if _gl.context is not None:
        _gl.context.free()
        _gl.context = None


def check_profile(profile: str) -> None:
    """Refuse an unknown render profile in words."""
    if profile not in QUALITIES:
        raise ValueError(f"render_profile must be one of {', '.join(PROFILES)}; got {profile!r}.")


class Renderer:
    """Renders one model at one size, camera and profile; the physics model is never touched.

    Args:
        model: the compiled MuJoCo model.
        size: (height, width) in pixels.
        camera: camera name or index.
        profile: "reference" (pixel-identical to dm_control), "fast" (same to the eye) or "turbo".
        visible_geoms: names of geoms that are transparent in `model` but drawn here.

    Raises:
        ValueError: unknown camera, profile, geom or a size below 1.
        RenderingUnavailableError: at the first `render`, if no OpenGL backend works.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        *,
        size: tuple[int, int],
        camera: str | int = 0,
        profile: RenderProfile = "fast",
        visible_geoms: tuple[str, ...] = (),
    ) -> None:
        check_profile(profile)
        if min(size) < 1:
            raise ValueError(f"image size must be at least 1 pixel on each side; got {size}.")
        self.height, self.width = size
        self._quality = QUALITIES[profile]
        self._camera_id = _camera_id(model, camera)
        self._model = self._adapted_copy(model)
        for name in visible_geoms:
            self._model.geom_rgba[_geom_id(model, name), 3] = 1.0
        self._context: mujoco.MjrContext | None = None
        self._pid: int | None = None

    @property
    def model(self) -> mujoco.MjModel:
        """The copy of the model that is drawn; poses of the given model fit it."""
        return self._model

    def _adapted_copy(self, model: mujoco.MjModel) -> mujoco.MjModel:
        adapted = copy.copy(model)
        quality = adapted.vis.quality
        if self._quality.shadow_size is not None:
            quality.shadowsize = min(quality.shadowsize, self._quality.shadow_size)
        if self._quality.slices is not None:
            _widen_round_geoms(adapted, quality.numslices, self._quality.slices)
            quality.numslices = self._quality.slices
        if self._quality.stacks is not None:
            quality.numstacks = self._quality.stacks
        if self._quality.samples is not None:
            quality.offsamples = self._quality.samples
        adapted.vis.global_.offwidth, adapted.vis.global_.offheight = self.width, self.height
        return adapted

    def _start(self) -> None:
        gl_backend()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_50)
        self._pid = os.getpid()
        self._scene = mujoco.MjvScene(self._model, maxgeom=max(1000, self._model.ngeom))
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._quality.shadow
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = self._quality.reflection
        self._option, self._perturb = mujoco.MjvOption(), mujoco.MjvPerturb()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = self._camera_id
        self._shadowless: list[mujoco.MjvGeom] | None = None
        self._rect = mujoco.MjrRect(0, 0, self.width, self.height)
        self._buffer = np.empty((self.height, self.width, 3), np.uint8)
        _gl.renderers.add(self)

    def render(self, data: mujoco.MjData, out: np.ndarray | None = None) -> np.ndarray:
        """The frame that the camera sees of `data`, whose positions must be up to date.

        Args:
            data: physics data of the model given at construction.
            out: uint8 array (height, width, 3) to write into; by default a new one.
        """
        if self._context is None or self._pid != os.getpid():
            self._start()
        gl_backend()
        # Another renderer made since the last frame leaves its own buffers bound: one wrong frame follows.
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        mujoco.mjv_updateScene(
            self._model, data, self._option, self._perturb, self._camera,
            mujoco.mjtCatBit.mjCAT_ALL, self._scene,
        )  # fmt: skip
        if not self._quality.plane_shadow:
            self._take_shadows_of_planes()
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._buffer, None, self._rect, self._context)
        if out is None:
            out = np.empty_like(self._buffer)
        out[...] = self._buffer[::-1]  # OpenGL's first row is the bottom one
        return out

    def _take_shadows_of_planes(self) -> None:
        if self._shadowless is None:  # the order of a scene's geoms does not change
            drawn = self._scene.geoms[: self._scene.ngeom]
            self._shadowless = [geom for geom in drawn if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
        for geom in self._shadowless:
            geom.category = mujoco.mjtCatBit.mjCAT_DECOR  # decoration is lit, but casts no shadow

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what `_start` makes, which a copy makes for itself."""
        kept = {name: value for name, value in self.__dict__.items() if name not in STARTED}
        return {**kept, "_context": None, "_pid": None}

    def close(self) -> None:
        """Free the GL resources of this renderer; a later `render` starts anew."""
        if self._context is not None and self._pid == os.getpid():
            self._context.free()
        self._context = None


def _camera_id(model: mujoco.MjModel, camera: str | int) -> int:
    if isinstance(camera, str):
        index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
    else:
        index = camera if isinstance(camera, int) and 0 <= camera < model.ncam else -1
    if index < 0:
        names = [model.camera(i).name for i in range(model.ncam)]
        raise ValueError(f"camera must be one of {names} or its index; got {camera!r}.")
    return index


def _widen_round_geoms(model: mujoco.MjModel, before: int, after: int) -> None:
    """Keep the mean width of round silhouettes when they are drawn with fewer facets.

    A regular n-gon in a circle of radius r is 2 r sinc(1 / n) wide on average over its rotations.
    """
    radii = {
        mujoco.mjtGeom.mjGEOM_SPHERE: slice(0, 1),
        mujoco.mjtGeom.mjGEOM_CAPSULE: slice(0, 1),
        mujoco.mjtGeom.mjGEOM_CYLINDER: slice(0, 1),
        mujoco.mjtGeom.mjGEOM_ELLIPSOID: slice(0, 3),
    }
    for kind, columns in radii.items():
        model.geom_size[model.geom_type == kind, columns] *= np.sinc(1 / before) / np.sinc(1 / after)


def _geom_id(model: mujoco.MjModel, name: str) -> int:
    index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, name)
    if index < 0:
        names = [model.geom(i).name for i in range(model.ngeom)]
        raise ValueError(f"visible_geoms must be among {names}; got {name!r}.")
    return index
