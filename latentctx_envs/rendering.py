"""Frames from MuJoCo: size, camera and quality profile; uint8 arrays of shape (height, width, 3)."""

import copy
import dataclasses
import functools
import os
from typing import Any, Literal, get_args

import mujoco
import numpy as np

from latentctx_envs.decimation import decimated_copy
from latentctx_envs.opengl import (
    APT_LINE,
    RenderingUnavailableError,
    close_before_exit,
    drawing,
    draws_here,
    gl_backend,
)

__all__ = [
    "APT_LINE",
    "PROFILES",
    "RenderProfile",
    "Renderer",
    "RenderingUnavailableError",
    "check_profile",
    "gl_backend",
]

RenderProfile = Literal["reference", "fast", "turbo"]
PROFILES: tuple[str, ...] = get_args(RenderProfile)
STARTED = ("_scene", "_option", "_perturb", "_camera", "_shadowless", "_rect", "_buffer")  # not picklable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """What a profile changes in MuJoCo's renderer; None keeps the model's own value."""

    shadow_size: int | None = None  # edge of the square shadow map [texels]
    slices: int | None = None  # facets of round geoms around their axis
    stacks: int | None = None  # facets of round geoms along their axis
    samples: int | None = None  # MSAA samples a pixel
    shadow: bool = True
    plane_shadow: bool = True  # floors fill the shadow map, yet nothing lies in their shadow
    reflection: bool = True
    box_reflection: bool = True  # a pass over the whole scene for each shiny box
    quads: int | None = None  # facets along each side of boxes and planes
    mesh_tolerance: float | None = None  # of simpler meshes [m]
    least_ball: float = 0.0  # smaller spheres and ellipsoids are drawn this wide [pixels]
    raster_threads: bool = False  # of the software driver, if this renderer is the process' first


QUALITIES: dict[str, Quality] = {
    "reference": Quality(raster_threads=True),
    "fast": Quality(
        shadow_size=512,
        slices=14,
        stacks=4,
        quads=1,
        plane_shadow=False,
        box_reflection=False,
        mesh_tolerance=0.004,
    ),
    "turbo": Quality(
        slices=12,
        stacks=6,
        quads=1,
        samples=0,
        shadow=False,
        reflection=False,
        mesh_tolerance=0.006,
        least_ball=4.0,  # without anti-aliasing a smaller one jumps from pixel to pixel
    ),
}


def check_profile(profile: str) -> None:
    """Refuse an unknown render profile in words."""
    if profile not in PROFILES:
        raise ValueError(f"render_profile must be one of {', '.join(PROFILES)}; got {profile!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """The part of a camera's picture that is drawn, alone, at any size: the camera looks askew through it.

    Rows and columns are counted in the picture as it is shown, after it was turned upside down if it was.
    """

    picture: tuple[int, int]  # (height, width) of the whole [pixels]
    rows: tuple[int, int]  # first row and the one after the last
    columns: tuple[int, int]
    upside_down: bool = False  # the bottom row is shown at the top


class Renderer:
    """Renders one model at one size, camera and profile; the physics model is never touched.

    Args:
        model: the compiled MuJoCo model, copied when the first picture is drawn: most worlds never draw one.
        size: (height, width) in pixels.
        camera: camera name or index.
        profile: "reference" (pixel-identical to dm_control), "fast" (same to the eye) or "turbo".
        visible_geoms: names of geoms that are transparent in `model` but drawn here.
        hidden_sites: names of sites that are not drawn.
        window: draw this part of the camera's picture; None for all of it, in the proportions of `size`.

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
        hidden_sites: tuple[str, ...] = (),
        window: Window | None = None,
    ) -> None:
        check_profile(profile)
        if min(size) < 1:
            raise ValueError(f"image size must be at least 1 pixel on each side; got {size}.")
        self.height, self.width = size
        self._quality = QUALITIES[profile]
        self._camera_id = _camera_id(model, camera)
        self._given: mujoco.MjModel | None = model
        self._visible = [_geom_id(model, name) for name in visible_geoms]
        self._hidden = [model.site(name).id for name in hidden_sites]
        self._window = window
        self._context: mujoco.MjrContext | None = None
        self._pid: int | None = None

    @functools.cached_property
    def model(self) -> mujoco.MjModel:
        """The copy of the model that is drawn; poses of the given model fit it."""
        assert self._given is not None
        adapted, self._given = self._adapted_copy(self._given), None
        adapted.geom_rgba[self._visible, 3] = 1.0
        adapted.site_rgba[self._hidden, 3] = 0.0
        if self._window is not None:
            _look_through(adapted, self._camera_id, self._window)
        return adapted

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
        if self._quality.quads is not None:
            quality.numquads = self._quality.quads
        if not self._quality.box_reflection:
            _dull_boxes(adapted)
        if self._quality.least_ball:
            _enlarge_balls(adapted, self._camera_id, self._quality.least_ball / self.height)
        if self._quality.samples is not None:
            quality.offsamples = self._quality.samples
        adapted.vis.global_.offwidth, adapted.vis.global_.offheight = self.width, self.height
        return adapted

    def share_cores(self) -> None:
        """Expect other processes to draw on the other cores: no threads of the driver's own."""
        self._quality = dataclasses.replace(self._quality, raster_threads=False)

    def _start(self) -> None:
        drawn = self.model
        if self._quality.mesh_tolerance is not None:
            drawn = decimated_copy(drawn, self._quality.mesh_tolerance)
        self._context = mujoco.MjrContext(drawn, mujoco.mjtFontScale.mjFONTSCALE_50)
        self._pid = os.getpid()
        self._scene = mujoco.MjvScene(self.model, maxgeom=max(1000, self.model.ngeom))
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._quality.shadow
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = self._quality.reflection
        self._option, self._perturb = mujoco.MjvOption(), mujoco.MjvPerturb()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = self._camera_id
        self._shadowless: list[mujoco.MjvGeom] | None = None
        self._rect = mujoco.MjrRect(0, 0, self.width, self.height)
        self._buffer = np.empty((self.height, self.width, 3), np.uint8)
        close_before_exit(self)

    def render(self, data: mujoco.MjData, out: np.ndarray | None = None) -> np.ndarray:
        """The frame that the camera sees of `data`, whose positions must be up to date.

        Args:
            data: physics data of the model given at construction.
            out: uint8 array (height, width, 3) to write into; by default a new one.
        """
        with drawing(raster_threads=self._quality.raster_threads):
            if self._context is None or self._pid != os.getpid():
                self._start()
            self._draw(data)
        if out is None:
            out = np.empty_like(self._buffer)
        # OpenGL's first row is the bottom one
        upside_down = self._window is not None and self._window.upside_down
        out[...] = self._buffer if upside_down else self._buffer[::-1]
        return out

    def _draw(self, data: mujoco.MjData) -> None:
        """Into the buffer."""
        # Another renderer made since the last frame leaves its own buffers bound: one wrong frame follows.
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        mujoco.mjv_updateScene(
            self.model, data, self._option, self._perturb, self._camera,
            mujoco.mjtCatBit.mjCAT_ALL, self._scene,
        )  # fmt: skip
        if not self._quality.plane_shadow:
            self._take_shadows_of_planes()
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._buffer, None, self._rect, self._context)

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
        if self._context is not None and self._pid == os.getpid() and draws_here():
            with drawing():
                self._context.free()
        self._context = None  # of another thread's the process' end takes care


def _look_through(model: mujoco.MjModel, camera: int, window: Window) -> None:
    """Give a camera the lens whose whole picture is the window, in units of the picture's pixels."""
    height, width = window.picture
    (top, bottom), (left, right) = window.rows, window.columns
    focus = height / 2 / np.tan(np.radians(model.cam_fovy[camera]) / 2)
    down = (top + bottom - height) / 2
    model.cam_sensorsize[camera] = right - left, bottom - top
    model.cam_intrinsic[camera] = (
        focus,
        focus,
        (left + right - width) / 2,
        down if window.upside_down else -down,
    )


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


def _enlarge_balls(model: mujoco.MjModel, camera: int, share: float) -> None:
    """Draw balls no narrower than a share of the picture's height, seen from where they are at the start.

    A ball of a pixel or two leaves no trace of where between the pixels it is, and hardly any gradient to find it by;
    longer things have their length for that.
    """
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    view = data.cam_xmat[camera].reshape(3, 3)[:, 2]  # from what is seen towards the camera
    depths = np.maximum((data.cam_xpos[camera] - data.geom_xpos) @ view, 0.0)
    extent = model.cam_fovy[camera]  # [degrees], or [m] of a camera without perspective
    flat = bool(model.cam_orthographic[camera])
    heights = np.full_like(depths, extent) if flat else 2 * depths * np.tan(np.radians(extent) / 2)
    balls = np.isin(model.geom_type, (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_ELLIPSOID))
    least = np.where(balls, share * heights / 2.0, 0.0)
    widest = np.maximum(model.geom_size.max(axis=1), np.finfo(np.float64).tiny)
    model.geom_size *= np.maximum(least / widest, 1.0)[:, None]


def _dull_boxes(model: mujoco.MjModel) -> None:
    """Take the mirrors from boxes, not from planes of the same material."""
    boxes = model.geom_matid[model.geom_type == mujoco.mjtGeom.mjGEOM_BOX]
    planes = model.geom_matid[model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE]
    model.mat_reflectance[np.setdiff1d(boxes, [*planes, -1])] = 0.0


def _geom_id(model: mujoco.MjModel, name: str) -> int:
    index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, name)
    if index < 0:
        names = [model.geom(i).name for i in range(model.ngeom)]
        raise ValueError(f"visible_geoms must be among {names}; got {name!r}.")
    return index
