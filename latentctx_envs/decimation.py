"""Render-only copies of MuJoCo models with simpler meshes: a robot of 67,000 faces does not fit into 84 pixels.

Quadric edge collapses (Garland and Heckbert, 1997) by the package fast-simplification, stopped by a geometric
tolerance instead of a face count. Physics never sees such a copy: its meshes no longer fit their hulls and trees.
"""

import copy
import functools
from typing import Any, NamedTuple

import mujoco
import numpy as np

FEWEST_FACES = 500  # smaller meshes are left as they are: they cost little and every face of theirs shows
CREASE = 0.5  # cosine of the angle between faces that do not share a smooth normal, 60 degrees
WELD_DIGITS = 6  # vertices closer than a micrometre are one; exporters repeat them along creases


class Mesh(NamedTuple):
    """Triangles with a normal at each corner."""

    vertices: np.ndarray  # (vertices, 3) float64 [m]
    faces: np.ndarray  # (faces, 3) indices of vertices
    normals: np.ndarray  # (normals, 3) float64, unit length
    face_normals: np.ndarray  # (faces, 3) indices of normals


def decimated_copy(model: mujoco.MjModel, tolerance: float) -> mujoco.MjModel:
    """A copy of the model to draw from, whose meshes deviate by about `tolerance` at most.

    Meshes with texture coordinates keep every face: a collapse would smear the picture on them. What a mesh became
    is remembered within the process, so that a second environment with the same robot pays nothing.

    Args:
        model: the compiled model; it is not changed.
        tolerance: root of the summed squared distances [m] between a vertex and the planes of the faces it stands
            for. Typical deviations are several times smaller.

    Raises:
        ImportError: fast-simplification is not installed.
    """
    adapted = copy.copy(model)
    for index in range(model.nmesh):
        if model.mesh_facenum[index] >= FEWEST_FACES and model.mesh_texcoordadr[index] < 0:
            _decimate(adapted, index, tolerance)
    return adapted


def _decimate(model: mujoco.MjModel, index: int, tolerance: float) -> None:
    """Write a simpler mesh into the room of the old one."""
    vertices = _rows(model.mesh_vert, model.mesh_vertadr, model.mesh_vertnum, index)
    normals = _rows(model.mesh_normal, model.mesh_normaladr, model.mesh_normalnum, index)
    faces = _rows(model.mesh_face, model.mesh_faceadr, model.mesh_facenum, index)
    mesh = _simplified(vertices.tobytes(), faces.tobytes(), tolerance)
    if len(mesh.normals) > len(normals):
        mesh = _with_a_normal_a_vertex(mesh)
    if not 0 < len(mesh.faces) <= len(faces) or len(mesh.normals) > len(normals):
        return
    face_normals = _rows(model.mesh_facenormal, model.mesh_faceadr, model.mesh_facenum, index)
    for room, rows in zip(
        (vertices, normals, faces, face_normals), (mesh[0], mesh[2], mesh[1], mesh[3]), strict=True
    ):
        room[: len(rows)] = rows
    model.mesh_vertnum[index], model.mesh_normalnum[index] = len(mesh.vertices), len(mesh.normals)
    model.mesh_facenum[index] = len(mesh.faces)
    model.mesh_graphadr[index] = -1  # the convex hull is a list of old vertices


def _rows(array: np.ndarray, starts: np.ndarray, counts: np.ndarray, index: int) -> np.ndarray:
    return array[starts[index] : starts[index] + counts[index]]


@functools.lru_cache(maxsize=256)  # as bytes, because arrays have no hash; the parts of a dozen robots
def _simplified(vertices: bytes, faces: bytes, tolerance: float) -> Mesh:
    corners = np.frombuffer(vertices, np.float32).reshape(-1, 3).astype(np.float64)
    points, merged = np.unique(corners.round(WELD_DIGITS), axis=0, return_inverse=True)
    triangles = merged.reshape(-1)[np.frombuffer(faces, np.int32).reshape(-1, 3)]
    points, triangles = _collapsed(points, triangles[~_degenerate(triangles)], tolerance)
    smooth = _corner_normals(points, triangles)
    normals, inverse = np.unique(smooth.round(2), axis=0, return_inverse=True)
    return Mesh(points, triangles, normals, inverse.reshape(-1, 3))


def _collapsed(points: np.ndarray, triangles: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Collapse edges while the summed squared distance to the planes they stand for is below tolerance squared.

    The library's lossless mode stops at a summed square of the machine epsilon, so the mesh is scaled until this
    is the tolerance. It has no term that holds open borders in place and never joins a border to what it surrounds,
    and a CAD export is a quilt of open patches. Hence fins upright on each border edge: their planes enter the errors
    of the border's points, being double they leave no border, they collapse first, and what is left is taken away.
    """
    scale = np.sqrt(np.finfo(np.float64).eps) / tolerance
    tips, fins = _fins(points, triangles)
    finned, joined = np.concatenate([points, tips]) * scale, np.concatenate([triangles, fins])
    simple, kept = _library().simplify(finned, joined.astype(np.int32), lossless=True)
    kept = kept[~_among(simple, finned[len(points) :])[kept].any(axis=1)]
    used, kept = np.unique(kept, return_inverse=True)
    return simple[used] / scale, kept.reshape(-1, 3)


def _fins(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tips (edges, 3) and triangles (2 edges, 3) of fins on the open borders; tip i is `len(points) + i`."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    key = edges.min(axis=1) * len(points) + edges.max(axis=1)
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    border = np.flatnonzero(count[inverse.reshape(-1)] == 1)
    tails, heads = edges[border].T
    length = np.linalg.norm(points[tails] - points[heads], axis=1, keepdims=True)
    upright = _face_normals(points, triangles)[0][border % len(triangles)]
    tips = (points[tails] + points[heads]) / 2 + upright * length
    fins = np.stack([heads, tails, len(points) + np.arange(len(border))], axis=1)
    return tips, np.concatenate([fins, fins[:, ::-1]])


def _among(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which rows (n, 3) are bit for bit one of the others (m, 3)."""
    kind = np.dtype((np.void, 3 * rows.itemsize))
    whole, wanted = (np.ascontiguousarray(array).view(kind).reshape(-1) for array in (rows, others))
    return np.isin(whole, wanted)


def _degenerate(triangles: np.ndarray) -> np.ndarray:
    return (triangles == np.roll(triangles, 1, axis=1)).any(axis=1)


def _face_normals(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (faces, 3) and areas (faces,) [m^2]."""
    first, second, third = (points[triangles[:, corner]] for corner in range(3))
    normals = np.cross(second - first, third - first)
    length = np.linalg.norm(normals, axis=1)
    return normals / np.maximum(length, np.finfo(np.float64).tiny)[:, None], length / 2


def _corner_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (3 faces, 3) of the corners: the mean over the faces at that point, by area, up to a crease."""
    normals, areas = _face_normals(points, triangles)
    corners = triangles.reshape(-1)
    faces_by_point = np.argsort(corners, kind="stable") // 3
    count = np.bincount(corners, minlength=len(points))
    start = np.cumsum(count) - count
    # each corner meets all faces at its point:  corner 0 0 0 1 1 ...   other  f g h f g ...
    corner = np.repeat(np.arange(len(corners)), count[corners])
    within = np.arange(len(corner)) - np.repeat(np.cumsum(count[corners]) - count[corners], count[corners])
    other = faces_by_point[start[corners[corner]] + within]
    cosine = np.einsum("ij,ij->i", normals[other], normals[corner // 3])
    weighted = normals[other] * np.where(cosine > CREASE, areas[other], 0.0)[:, None]
    return _unit(_sums(weighted, corner, len(corners)), np.repeat(normals, 3, axis=0))


def _with_a_normal_a_vertex(mesh: Mesh) -> Mesh:
    """The mesh without creases, for a room with too few normals."""
    corners = mesh.faces.reshape(-1)
    sums = _sums(mesh.normals[mesh.face_normals.reshape(-1)], corners, len(mesh.vertices))
    return mesh._replace(normals=_unit(sums, np.array([[0.0, 0.0, 1.0]])), face_normals=mesh.faces)


def _sums(rows: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    return np.stack([np.bincount(groups, weights=column, minlength=count) for column in rows.T], axis=1)


def _unit(vectors: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > 0, vectors / np.maximum(length, np.finfo(np.float64).tiny), otherwise)


def _library() -> Any:
    try:
        import fast_simplification
    except ImportError:
        raise ImportError(
            "simpler meshes need the package fast-simplification; run: pip install fast-simplification, "
            "or choose render_profile='reference'."
        ) from None
    return fast_simplification
