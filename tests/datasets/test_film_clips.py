"""Clips of films of one's own: what is read, how it is cut, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos import films, open_clips
from latentctx_datasets.videos.building import spread
from latentctx_datasets.videos.film_files import films_in, frames_of
from latentctx_datasets.videos.films import build_films, square


def a_film(frames, height=48, width=80, seed=0):
    """A bright square that wanders over a dark wall, uint8 (t, h, w, 3)."""
    rng = np.random.default_rng(seed)
    film = np.full((frames, height, width, 3), (30, 40, 50), np.uint8)
    place = np.array([height // 2, width // 2])
    for frame in film:
        place = np.clip(place + rng.integers(-4, 5, 2), 8, (height - 8, width - 8))
        frame[place[0] - 6 : place[0] + 6, place[1] - 6 : place[1] + 6] = (240, 200, 40)
    return film


def write_mp4(path, film, turned=0):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.height, stream.width = film.shape[1:3]
        if turned:
            stream.set_display_rotation(turned)
        stream.bit_rate, stream.pix_fmt = 4_000_000, "yuv420p"
        for frame in film:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def recorded(tmp_path):
    """Films of all kinds."""
    source = tmp_path / "recorded"
    (source / "b_pictures").mkdir(parents=True)
    write_mp4(source / "a.mp4", a_film(20, seed=1))
    for number, frame in enumerate(a_film(11, seed=2)):
        Image.fromarray(frame).save(source / "b_pictures" / f"frame{number}.png")
    (source / "b_pictures" / "._frame0.png").write_bytes(b"of a Mac")
    first, *others = (Image.fromarray(frame) for frame in a_film(9, seed=3))
    first.save(source / "c.gif", save_all=True, append_images=others, duration=50)
    np.save(source / "d.npy", a_film(8, seed=4))
    np.savez(source / "e.npz", image=a_film(7, seed=5), state=np.zeros((7, 2)))
    np.save(source / "short.npy", a_film(3))
    (source / ".trash").mkdir()
    np.save(source / ".trash" / "x.npy", a_film(30))
    return source


def test_every_kind_of_film_is_read_as_it_was_filmed(recorded):
    found = films_in(recorded)
    assert [film.name for film in found] == ["a.mp4", "b_pictures", "c.gif", "d.npy", "e.npz", "short.npy"]
    for film, (frames, seed) in zip(found, [(20, 1), (11, 2), (9, 3), (8, 4), (7, 5), (3, 0)], strict=True):
        read, wanted = np.stack(list(frames_of(film))), a_film(frames, seed=seed)
        assert read.shape == wanted.shape and read.dtype == np.uint8
        lossy = film.suffix in (".mp4", ".gif")
        assert np.abs(read.astype(int) - wanted).mean() < (6.0 if lossy else 1e-9)


def test_a_phones_film_stands_upright(tmp_path):
    film = np.zeros((4, 48, 80, 3), np.uint8)
    film[:, :, :40] = 255  # on the left; turned counterclockwise, at the bottom
    write_mp4(tmp_path / "phone.mp4", film, turned=90)
    shown = next(frames_of(tmp_path / "phone.mp4"))
    assert shown.shape == (80, 48, 3)
    assert shown[:36].mean() < 20 and shown[44:].mean() > 235


def test_films_become_clips_that_cover_them_and_are_held_out_together(recorded, tmp_path, monkeypatch):
    built = build_films(recorded, tmp_path / "clips", frames=4, workers=1)
    with monkeypatch.context() as patched:
        patched.setattr(films, "frames_of", lambda film: pytest.fail("read again"))
        build_films(recorded, tmp_path / "clips", frames=4)
    clips = open_clips(tmp_path / "clips", frames=4)
    assert clips.facts["content_hash"] == built.facts["content_hash"]
    assert clips.facts["sequences"] == [0] * 5 + [1] * 3 + [2] * 3 + [3] * 2 + [4] * 2
    wanted = np.stack([square(frame, 64) for frame in a_film(11, seed=2)])
    for clip, start in zip(range(5, 8), spread(11, 4), strict=True):
        np.testing.assert_array_equal(clips[clip], wanted[start : start + 4])
    assert spread(11, 4)[-1] == 7  # the end is shown
    trained, held_out = clips.split()
    told = np.asarray(clips.facts["sequences"])
    assert not set(told[trained]) & set(told[held_out])
    again = build_films(recorded, tmp_path / "again", frames=4, workers=2)
    assert again.facts["content_hash"] == built.facts["content_hash"]
    slower = build_films(recorded, tmp_path / "slower", frames=4, every=2, workers=1)
    np.testing.assert_array_equal(slower[-1], [square(frame, 64) for frame in a_film(7, seed=5)[::2]])


def test_one_film_is_cut_into_clips_that_lie_apart(tmp_path):
    (tmp_path / "one").mkdir()
    np.save(tmp_path / "one" / "long.npy", a_film(50))
    clips = build_films(tmp_path / "one", tmp_path / "clips", frames=8, workers=1)
    assert len(clips) == 6 and clips.facts["sequences"] == list(range(6))
    assert len(clips.split()[1]) == 1


def test_the_middle_square_is_shown_in_its_colours():
    frame = np.zeros((90, 200, 3), np.uint8)
    frame[:, 55:145] = (10, 200, 90)  # just the middle
    assert (np.abs(square(frame, 64).astype(int) - (10, 200, 90)) <= 1).all()
    own = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(square(own, 64), own)


def test_a_changed_film_is_another_set(recorded, tmp_path):
    build_films(recorded, tmp_path / "clips", frames=4, workers=1)
    np.save(recorded / "d.npy", a_film(8, seed=9))
    with pytest.raises(DatasetError, match=r"holds other clips .* choose another folder by --path"):
        build_films(recorded, tmp_path / "clips", frames=4, workers=1)


def wrong_numbers(folder):
    np.save(folder / "x.npy", np.zeros((5, 8, 8, 3)))


def wrong_names(folder):
    np.savez(folder / "x.npz", left=np.zeros(3), right=np.zeros(3))


def damaged(folder):
    (folder / "x.mp4").write_bytes(b"no film")


def too_short(folder):
    np.save(folder / "x.npy", a_film(5))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda folder: None, "holds no films"),
        (wrong_numbers, r"x\.npy holds float64 .*: frames must be uint8"),
        (wrong_names, r"x\.npz holds left, right: its frames must be called"),
        (damaged, r"x\.mp4 cannot be read"),
        (too_short, "no film in .* has 16 frames; the longest has 5"),
    ],
)
def test_what_is_no_film_is_refused_in_words(tmp_path, made, words):
    made(tmp_path)
    with pytest.raises(DatasetError, match=words):
        build_films(tmp_path, tmp_path / "clips", workers=1)


def test_numbers_out_of_range_are_refused(tmp_path):
    with pytest.raises(ValueError, match="frames start at 2 and every at 1"):
        build_films(tmp_path, every=0)
