"""Simpler meshes: within tolerance, closed where they were, cheap the second time, and never the physics' own."""

import sys
from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

from latentctx_envs import decimation
from latentctx_envs.decimation import Mesh, decimated_copy
from latentctx_envs.rendering import Renderer

TOLERANCE = 0.002  # [m]
ARRAYS = (
    "vert",
    "normal",
    "face",
    "facenormal",
    "facetexcoord",
    "vertnum",
    "facenum",
    "normalnum",
    "graphadr",
)


def grid(rows: int, columns: int) -> np.ndarray:
    """Triangles (2 (rows - 1) (columns - 1), 3) over points in rows."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    lower = np.stack([first, first + 1, first + columns], axis=1)
    return np.concatenate([lower, np.stack([first + 1, first + columns + 1, first + columns], axis=1)])


def bowl(columns: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """An open half sphere of radius 0.1 m: curved, with a round border in the plane z = 0."""
    around, down = np.meshgrid(np.linspace(0, 2 * np.pi, columns), np.linspace(0.05, np.pi / 2, columns))
    points = [np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), -np.cos(down)]
    return 0.1 * np.stack(points, axis=-1).reshape(-1, 3), grid(columns, columns)


def plate(columns: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """A flat square of 0.2 m with a straight border."""
    across, along = np.meshgrid(*[np.linspace(-0.1, 0.1, columns)] * 2)
    return np.stack([across, along, 0 * across], axis=-1).reshape(-1, 3), grid(columns, columns)


def simplified(points: np.ndarray, faces: np.ndarray, tolerance: float = TOLERANCE) -> Mesh:
    return decimation._simplified(
        points.astype(np.float32).tobytes(), faces.astype(np.int32).tobytes(), tolerance
    )


def model_of(extra: str = "") -> mujoco.MjModel:
    points, faces = bowl()
    words = [" ".join(map(str, array.reshape(-1))) for array in (points, faces)]
    return mujoco.MjModel.from_xml_string(
        f"""<mujoco><asset><mesh name="bowl" inertia="shell" vertex="{words[0]}" face="{words[1]}" {extra}/></asset>
        <worldbody><light pos="0 0 1"/><camera pos="0 0 0.5"/><geom type="mesh" mesh="bowl"/></worldbody></mujoco>"""
    )


@pytest.fixture
def model() -> mujoco.MjModel:
    return model_of()


@pytest.fixture
def forgotten() -> Iterator[None]:
    """No mesh is remembered from other tests."""
    decimation._simplified.cache_clear()
    yield
    decimation._simplified.cache_clear()


def copies(model: mujoco.MjModel) -> dict[str, np.ndarray]:
    names = [name for name in dir(model) if isinstance(getattr(model, name, None), np.ndarray)]
    return {name: getattr(model, name).copy() for name in names}


def test_a_curved_mesh_keeps_its_shape_within_the_tolerance() -> None:
    points, faces = bowl()
    mesh = simplified(points, faces)
    assert len(mesh.faces) < len(faces) / 2
    middles = np.concatenate([mesh.vertices, mesh.vertices[mesh.faces].mean(axis=1)])
    assert np.abs(np.linalg.norm(middles, axis=1) - 0.1).max() < TOLERANCE


def test_a_larger_tolerance_leaves_fewer_faces() -> None:
    counts = [len(simplified(*bowl(), tolerance).faces) for tolerance in (0.0005, 0.002, 0.008)]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 3


def test_a_flat_mesh_with_a_straight_border_becomes_a_few_faces_of_the_same_area() -> None:
    mesh = simplified(*plate())
    normals, areas = decimation._face_normals(mesh.vertices, mesh.faces)
    assert len(mesh.faces) < 100  # of 1,682
    assert areas.sum() == pytest.approx(0.04, rel=1e-3)
    assert np.allclose(np.abs(normals[:, 2]), 1.0)


def test_an_open_border_stays_where_it_was() -> None:
    mesh = simplified(*bowl())
    rim = mesh.vertices[np.abs(mesh.vertices[:, 2]) < 1e-3]
    assert np.abs(np.linalg.norm(rim, axis=1) - 0.1).max() < TOLERANCE
    turns = np.sort(np.arctan2(rim[:, 1], rim[:, 0]))
    assert np.diff(turns).max() < np.pi / 4  # it is still round, not cut off


def test_normals_are_unit_and_follow_the_surface() -> None:
    mesh = simplified(*bowl())
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=0.02)
    corners = mesh.vertices[mesh.faces.reshape(-1)] / 0.1
    along = np.einsum("ij,ij->i", mesh.normals[mesh.face_normals.reshape(-1)], corners)
    assert np.abs(along).min() > 0.9


def test_a_crease_stays_sharp() -> None:
    points, faces = plate(columns=31)  # a row of points on the ridge
    folded = points.copy()
    folded[:, 2] = np.abs(points[:, 0]) * 2.0  # a roof of two flat sides, 127 degrees apart
    assert len(simplified(folded, faces).normals) == 2


def test_the_model_is_untouched(model) -> None:
    before = copies(model)
    changed = decimated_copy(model, TOLERANCE)
    assert changed.mesh_facenum[0] < model.mesh_facenum[0]
    after = copies(model)
    assert [name for name in before if not np.array_equal(before[name], after[name], equal_nan=True)] == []


def test_a_renderer_leaves_the_physics_model_untouched(model) -> None:
    before = copies(model)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    Renderer(model, size=(32, 32), profile="turbo").render(data)
    after = copies(model)
    assert [name for name in before if not np.array_equal(before[name], after[name], equal_nan=True)] == []


def test_all_indices_of_the_copy_stay_in_their_room(model) -> None:
    changed = decimated_copy(model, TOLERANCE)
    faces = changed.mesh_face[: changed.mesh_facenum[0]]
    assert faces.max() == changed.mesh_vertnum[0] - 1
    assert changed.mesh_facenormal[: len(faces)].max() < changed.mesh_normalnum[0] <= model.mesh_normalnum[0]
    assert changed.mesh_graphadr[0] == -1


def test_a_textured_mesh_keeps_every_face() -> None:
    points, _ = bowl()
    picture = " ".join(map(str, np.zeros(2 * len(points))))
    model = model_of(f'texcoord="{picture}"')
    changed = decimated_copy(model, TOLERANCE)
    for name in ARRAYS:
        assert np.array_equal(getattr(changed, f"mesh_{name}"), getattr(model, f"mesh_{name}")), name


def test_a_coarse_mesh_keeps_every_face() -> None:
    points, faces = bowl(columns=15)
    assert len(faces) < decimation.FEWEST_FACES
    words = [" ".join(map(str, array.reshape(-1))) for array in (points, faces)]
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><asset><mesh name="m" inertia="shell" vertex="{words[0]}" face="{words[1]}"/></asset>'
        '<worldbody><geom type="mesh" mesh="m"/></worldbody></mujoco>'
    )
    assert decimated_copy(model, TOLERANCE).mesh_facenum[0] == model.mesh_facenum[0]


def test_too_many_normals_for_their_room_become_one_a_vertex() -> None:
    mesh = decimation._with_a_normal_a_vertex(simplified(*bowl()))
    assert len(mesh.normals) == len(mesh.vertices)
    assert mesh.face_normals is mesh.faces
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0)


@pytest.mark.usefixtures("forgotten")
def test_the_same_mesh_is_simplified_once_in_a_process(model) -> None:
    first = decimated_copy(model, TOLERANCE)
    second = decimated_copy(model_of(), TOLERANCE)
    assert decimation._simplified.cache_info().misses == 1
    assert np.array_equal(first.mesh_face, second.mesh_face)


@pytest.mark.usefixtures("forgotten")
def test_a_missing_package_is_named(model, monkeypatch, refuses) -> None:
    monkeypatch.setitem(sys.modules, "fast_simplification", None)
    with refuses("pip install fast-simplification", error=ImportError):
        decimated_copy(model, TOLERANCE)
