"""Clips without actions: the tray's, BAIR's records, and what is refused."""

import pickle
import struct

import numpy as np
import pytest

from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos import open_clips
from latentctx_datasets.videos.bair import build_bair
from latentctx_datasets.videos.push import build_push
from latentctx_datasets.videos.tfrecord import crc32c, masked, read_example, read_records


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    return build_push(tmp_path_factory.mktemp("clips") / "push", clips=6, workers=1).folder


def test_the_checksum_is_crc32c():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the catalogue of CRCs
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes(range(32))) == 0x46DD794E
    long = np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8).tobytes()
    assert crc32c(long) == _slow(long)  # in lanes


def _slow(data):
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def test_the_hand_moves_and_pushes(pushed):
    clips = open_clips(pushed, labels=True)
    assert clips.actions.shape == (6, 29, 4) and clips.hand.shape == (6, 30, 4)
    assert np.abs(np.diff(clips.hand[..., :2], axis=1)).mean() > 0.005  # [m] a frame
    changed = np.mean(
        [np.any(np.asarray(clip)[1:] != np.asarray(clip)[:-1], axis=-1).mean() for clip in clips]
    )
    assert 0.01 < changed < 0.3


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(pushed, tmp_path):
    again = build_push(tmp_path / "again", clips=6, workers=1)
    assert again.facts["content_hash"] == open_clips(pushed).facts["content_hash"]
    other = build_push(tmp_path / "other", clips=6, seed=1, workers=1)
    assert not np.array_equal(other[0], again[0])


def test_actions_are_withheld_unless_asked_for(pushed):
    with pytest.raises(DatasetError, match="withheld"):
        _ = open_clips(pushed).actions


def test_the_split_parts_all_clips(pushed):
    trained, held_out = open_clips(pushed).split()
    assert len(held_out) >= 1 and sorted([*trained, *held_out]) == list(range(6))
    assert np.array_equal(held_out, open_clips(pushed).split()[1])


def test_another_process_maps_clips_instead_of_receiving_a_copy(pushed):
    clips = open_clips(pushed, labels=True)
    sent = pickle.dumps(clips)
    received = pickle.loads(sent)
    assert len(sent) < 1000 < clips[0].nbytes
    assert isinstance(received[3], np.memmap) and np.array_equal(received[3], clips[3])
    assert np.array_equal(received.actions, clips.actions)


def test_clips_that_do_not_fit_are_refused(pushed, tmp_path):
    with pytest.raises(DatasetError, match="at least 31 frames"):
        open_clips(pushed, frames=31)
    with pytest.raises(DatasetError, match="32 px are needed"):
        open_clips(pushed, image_size=32)
    with pytest.raises(DatasetError, match="videos build push"):
        open_clips(tmp_path)
    with pytest.raises(ValueError, match="take 36, but the clips"):
        open_clips(pushed).sample(np.random.default_rng(0), 2, 8, stride=5)
    with pytest.raises(DatasetError, match="holds other clips"):
        build_push(pushed, clips=6, seed=9, workers=1)


def test_damaged_clips_are_refused(tmp_path):
    clips = build_push(tmp_path / "push", clips=2, workers=1)
    file = clips.folder / "frames-000.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DatasetError, match="was changed since it was built"):
        open_clips(clips.folder)
    file.write_bytes(content[:-5])
    with pytest.raises(DatasetError, match="bytes, its index says"):
        open_clips(clips.folder)
    (clips.folder / "index.json").write_text("{")
    with pytest.raises(DatasetError, match="damaged"):
        open_clips(clips.folder)


# A writer of the layout of softmotion30_44k, of this test's own.


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _example(features):
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = _field(1, _field(1, value))
        else:
            feature = _field(2, _field(1, np.asarray(value, "<f4").tobytes()))
        entries += _field(1, _field(1, name.encode()) + _field(2, feature))
    return _field(1, entries)


def _record(payload):
    length = struct.pack("<Q", len(payload))
    return (
        length
        + struct.pack("<I", masked(crc32c(length)))
        + payload
        + struct.pack("<I", masked(crc32c(payload)))
    )


def _bair(number):
    rng = np.random.default_rng(number)
    features = {}
    for time in range(30):
        for camera in ("image_main", "image_aux1"):
            features[f"{time}/{camera}/encoded"] = rng.integers(0, 256, 12288, dtype=np.uint8).tobytes()
        features[f"{time}/action"] = [number, time, 0.5, -1.0]
        features[f"{time}/endeffector_pos"] = [0.1, 0.2, time]
    return features


@pytest.fixture
def bair(tmp_path):
    source = tmp_path / "softmotion30_44k"
    source.mkdir()
    for name, numbers in (("a", (0, 1)), ("b", (2,))):
        content = b"".join(_record(_example(_bair(number))) for number in numbers)
        (source / f"traj_{name}.tfrecords").write_bytes(content)
    return source


def test_bairs_records_become_clips(bair, tmp_path):
    clips = build_bair(bair, tmp_path / "bair", workers=1)
    assert len(clips) == 3 and clips.length == 30
    for number in range(3):
        wanted = [_bair(number)[f"{time}/image_aux1/encoded"] for time in range(30)]
        assert np.asarray(clips[number]).tobytes() == b"".join(wanted)
    labelled = open_clips(clips.folder, labels=True)
    assert labelled.actions[2, 7].tolist() == [2.0, 7.0, 0.5, -1.0]
    assert labelled.hand[1, 4, :3].tolist() == pytest.approx([0.1, 0.2, 4.0])
    main_view = build_bair(bair, tmp_path / "main", camera="image_main", clips=1, workers=1)
    assert np.asarray(main_view[0])[0].tobytes() == _bair(0)["0/image_main/encoded"]


def test_numbers_of_an_example_may_be_packed_or_not():
    packed = _field(1, _field(1, _field(1, b"x") + _field(2, _field(3, _field(1, b"\x05\x07")))))
    assert read_example(packed)["x"].tolist() == [5, 7]
    loose = b"\x0d" + struct.pack("<f", 2.5) + b"\x0d" + struct.pack("<f", 3.5)
    message = _field(1, _field(1, _field(1, b"y") + _field(2, _field(2, loose))))
    assert read_example(message)["y"].tolist() == [2.5, 3.5]


@pytest.mark.parametrize("place", ["length", "payload"])
def test_a_corrupt_record_is_named(bair, tmp_path, place):
    file = bair / "traj_a.tfrecords"
    content = bytearray(file.read_bytes())
    second = len(content) // 2
    content[second + (2 if place == "length" else 5000)] ^= 4
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=r"traj_a.tfrecords, record 1: the checksum"):
        build_bair(bair, tmp_path / "bair", workers=1)


def test_a_truncated_file_and_missing_keys_are_named(bair, tmp_path):
    file = bair / "traj_b.tfrecords"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(DatasetError, match=r"traj_b.tfrecords, record 0: the file ends"):
        build_bair(bair, tmp_path / "bair", workers=1)
    features = _bair(2)
    del features["12/action"]
    file.write_bytes(_record(_example(features)))
    with pytest.raises(DatasetError, match=r"record 0: it has no 12/action"):
        build_bair(bair, tmp_path / "bair", workers=1)
    file.write_bytes(_record(b"\xff\xff"))
    assert len(list(read_records(file))) == 1
    with pytest.raises(DatasetError, match=r"record 0: no tf.train.Example"):
        build_bair(bair, tmp_path / "again", workers=1)
    with pytest.raises(DatasetError, match=r"no \*\.tfrecords"):
        build_bair(tmp_path / "nothing")
    for path in bair.iterdir():
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="are empty: download them again"):
        build_bair(bair, tmp_path / "empty", workers=1)
    assert not (tmp_path / "empty").exists()
