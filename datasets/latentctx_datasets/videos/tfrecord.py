"""TFRecord files without TensorFlow: checked records, and the features of a `tf.train.Example`.

A record is its length (uint64), the length's checksum, the payload and the payload's checksum, all little-endian. Checksums are
CRC32C, rotated by 15 bits and moved by a constant, which is called masking.
"""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from latentctx_datasets.library import DatasetError

POLYNOMIAL = 0x82F63B78  # of CRC32C, its bits reversed
ALL = 0xFFFFFFFF
MASK = 0xA282EAD8
LANES = 4096  # of a long payload, whose checksums are computed side by side
HEADER, TRAILER = 12, 4  # bytes around a payload
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers

Features = dict[str, list[bytes] | np.ndarray]


def crc32c(data: bytes | memoryview) -> int:
    """CRC32C of bytes; long ones in lanes side by side, whose registers are then put together.

    Feeding bytes to the register is linear, so that the register after AB is that after A, moved on by as many zero
    bytes as B has, combined with that of B alone.
    """
    values = np.frombuffer(data, np.uint8)
    length = len(values) // LANES
    register = ALL
    if length:
        lanes = values[: length * LANES].reshape(LANES, length)
        ends = _feed(np.zeros(LANES, np.uint32), lanes)
        shift = _shift(length)
        for end in ends.tolist():
            register = (
                shift[0][register & 255]
                ^ shift[1][register >> 8 & 255]
                ^ shift[2][register >> 16 & 255]
                ^ shift[3][register >> 24]
                ^ end
            )
    table = _table().tolist()
    for value in values[length * LANES :].tolist():
        register = table[(register ^ value) & 255] ^ register >> 8
    return register ^ ALL


def masked(checksum: int) -> int:
    """A checksum as a TFRecord holds it."""
    return ((checksum >> 15 | checksum << 17) + MASK) & ALL


def count_records(path: Path) -> int:
    """Records of a file, from their lengths alone.

    Raises:
        DatasetError: the file ends within a record.
    """
    size, place, count = path.stat().st_size, 0, 0
    with path.open("rb") as stream:
        while place < size:
            stream.seek(place)
            place += HEADER + _length(stream.read(HEADER), path, count) + TRAILER
            count += 1
    if place > size:
        raise DatasetError(f"{path}, record {count - 1}: the file ends within it; download it again.")
    return count


def read_records(path: Path, first: int = 0) -> Iterator[bytes]:
    """Payloads of a file's records from number `first` on, each checked.

    Raises:
        DatasetError: a checksum does not fit, or the file ends within a record; says which.
    """
    with path.open("rb") as stream:
        number = 0
        while header := stream.read(HEADER):
            length = _length(header, path, number)
            if number < first:
                stream.seek(length + TRAILER, 1)
            else:
                payload, trailer = stream.read(length), stream.read(TRAILER)
                if len(payload) < length or len(trailer) < TRAILER:
                    raise DatasetError(
                        f"{path}, record {number}: the file ends within it; download it again."
                    )
                if struct.unpack("<I", trailer)[0] != masked(crc32c(payload)):
                    raise DatasetError(
                        f"{path}, record {number}: the checksum of its content does not fit; download it again."
                    )
                yield payload
            number += 1


def read_example(payload: bytes) -> Features:
    """Features of a serialised `tf.train.Example`: lists of bytes, or numbers as float32 or int64 arrays.

    Raises:
        ValueError: the bytes are no such message.
    """
    found: Features = {}
    for number, value in _fields(memoryview(payload)):
        if number != 1:  # Example.features
            continue
        for inner, entry in _fields(value):
            if inner == 1:  # Features.feature, a map entry
                parts = dict(_fields(entry))
                found[bytes(parts[1]).decode()] = _feature(parts[2])
    return found


def _feature(message: memoryview) -> list[bytes] | np.ndarray:
    """The one list that a Feature holds."""
    for number, value in _fields(message):
        if number == 1:  # BytesList
            return [bytes(item) for _, item in _fields(value)]
        if number == 2:  # FloatList, packed or not
            return np.concatenate(
                [np.zeros(0, np.float32), *(np.frombuffer(item, "<f4") for _, item in _fields(value))]
            )
        if number == 3:  # Int64List, packed or not
            return np.array([n for _, item in _fields(value) for n in _varints(item)], np.int64)
    return []


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field of a message."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind, start = key & 7, place
        if kind == LENGTH_DELIMITED:
            length, start = _varint(message, place)
        elif kind == VARINT:
            length = _varint(message, place)[1] - place
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"a protocol buffer has no wire type {kind}.")
        place = start + length
        if place > len(message):
            raise ValueError("a protocol buffer ends within a field.")
        yield key >> 3, message[start:place]


def _varints(message: memoryview) -> Iterator[int]:
    place = 0
    while place < len(message):
        value, place = _varint(message, place)
        yield value - (1 << 64) if value >> 63 else value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of variable length, and the place after it."""
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("a protocol buffer ends within a number.")
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if not byte & 128:
            return value, place


def _length(header: bytes, path: Path, number: int) -> int:
    """Bytes of the payload that a header announces."""
    if len(header) < HEADER:
        raise DatasetError(f"{path}, record {number}: the file ends within it; download it again.")
    length, checksum = struct.unpack("<QI", header)
    if checksum != masked(crc32c(header[:8])):
        raise DatasetError(
            f"{path}, record {number}: the checksum of its length does not fit; download it again."
        )
    return length


@cache
def _table() -> np.ndarray:
    """What a byte does to the register, uint32 (256,)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


def _feed(registers: np.ndarray, lanes: np.ndarray) -> np.ndarray:
    """Registers (n,) after the bytes (n, length) of their lanes."""
    table = _table()
    for column in lanes.T:
        registers = table[(registers ^ column) & 255] ^ registers >> 8
    return registers


@cache
def _shift(length: int) -> list[list[int]]:
    """What `length` zero bytes do to each byte of a register, four lists of 256."""
    units = _feed(np.left_shift(1, np.arange(32)).astype(np.uint32), np.zeros((32, length), np.uint8))
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    return [
        np.bitwise_xor.reduce(np.where(bits, units[8 * byte : 8 * byte + 8], 0), axis=1).tolist()
        for byte in range(4)
    ]
