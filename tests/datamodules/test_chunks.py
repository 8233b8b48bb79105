import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.chunks import Chunks, Recent, inflate, unshuffled

PLAIN = bytes(range(256)) * 4
PACKED = np.frombuffer(zlib.compress(PLAIN), dtype=np.uint8)


def test_a_deflated_chunk_comes_out_as_it_went_in():
    assert inflate(PACKED, 1024).tobytes() == PLAIN


@pytest.mark.parametrize(
    ("packed", "n_bytes"),
    [(PACKED, 1023), (PACKED, 1025), (PACKED, 1), (PACKED[:-1], 1024), (PACKED[:9], 1024), (PACKED[:0], 1024)],
)
def test_a_chunk_of_another_size_is_an_error(packed, n_bytes):
    with pytest.raises(OSError, match="a chunk"):
        inflate(packed, n_bytes)


@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
def test_a_changed_byte_never_passes_for_the_chunk(place, change):
    packed = PACKED.copy()
    packed[place] ^= change
    try:
        plain = inflate(packed, 1024).tobytes()
    except OSError:
        return
    assert plain == PLAIN  # a bit of the head that says nothing of the content


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", "S3", "c16"])
def test_shuffled_bytes_are_put_back(dtype):
    values = np.random.default_rng(0).integers(0, 256, 1024 * np.dtype(dtype).itemsize).astype(np.uint8)
    planes = values.reshape(1024, -1).T.copy().reshape(-1)
    np.testing.assert_array_equal(unshuffled(planes, np.dtype(dtype).itemsize), values)


def counting_chunks(n_rows=10):
    """Return chunks of an array whose values are their places, and a list of what is decoded."""
    decoded = []

    def decode(first, stop):
        decoded.extend(range(first, stop))
        return [np.arange(i * n_rows, (i + 1) * n_rows) for i in range(first, stop)]

    return Chunks(decode, n_rows), decoded


def read(chunks, start, stop):
    out = np.zeros(stop - start, dtype=np.int64)
    chunks.read_into(out, start)
    return out.tolist()


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 60)), min_size=1, max_size=8))
def test_any_slices_in_any_order_are_right(slices):
    chunks, _ = counting_chunks()
    for start, size in slices:
        assert read(chunks, start, start + size) == list(range(start, start + size))
    chunks.drop()


def test_reading_on_decodes_no_chunk_twice():
    chunks, decoded = counting_chunks()
    for start in range(0, 95, 7):
        read(chunks, start, start + 7)
    assert decoded == list(range(10))
    chunks.drop()


def test_chunks_used_whole_are_not_kept():
    chunks, decoded = counting_chunks()
    read(chunks, 10, 30)
    read(chunks, 10, 30)
    assert decoded == [1, 2, 1, 2]


def test_the_least_used_chunks_go_when_room_is_short():
    recent = Recent(most_bytes=30)
    chunk = np.zeros(10, dtype=np.uint8)
    for number in range(3):
        recent.keep(0, number, chunk)
    recent.get(0, 0)
    recent.keep(0, 3, chunk)
    recent.keep(0, 3, chunk)
    assert [recent.get(0, number) is not None for number in range(4)] == [True, False, True, True]
    recent.keep(1, 0, np.zeros(31, dtype=np.uint8))
    assert len(recent) == 0


def test_a_closed_array_leaves_nothing():
    recent = Recent(most_bytes=30)
    recent.keep(0, 0, np.zeros(10, dtype=np.uint8))
    recent.keep(1, 0, np.zeros(10, dtype=np.uint8))
    recent.drop(0)
    assert (recent.get(0, 0), len(recent)) == (None, 1)
    recent.keep(1, 1, np.zeros(20, dtype=np.uint8))
    assert len(recent) == 2
