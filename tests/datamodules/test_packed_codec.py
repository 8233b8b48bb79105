import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.packed_codec import decode_counts, decode_gaps, encode, has_fault, nibble_offset

N_GENES = 2_000


@st.composite
def rows_of_entries(draw):
    """Rows of rising genes with counts of 1 to 255, and whether an odd number of bytes' halves lies before them."""
    rows = draw(st.lists(st.sets(st.integers(0, N_GENES - 1), max_size=9), max_size=6))
    genes = np.array([gene for row in rows for gene in sorted(row)], dtype=np.uint16)
    size = len(genes)
    counts = draw(st.lists(st.one_of(st.integers(1, 16), st.integers(1, 255)), min_size=size, max_size=size))
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)]), genes, np.array(counts, dtype=np.uint8), draw(st.integers(0, 1))


def encoded(pointers, genes, counts, odd):
    gaps = np.zeros(len(genes), np.uint8)
    nibbles = np.zeros(nibble_offset(len(genes) + odd, len(pointers) - 1), np.uint8)
    encode(pointers, odd, genes, counts, gaps, nibbles)
    before = np.concatenate([[-1], genes[:-1].astype(int)])
    before[[at for at in pointers[:-1] if at < len(genes)]] = -1
    wide_gaps, wide_counts = np.flatnonzero(gaps == 0), np.flatnonzero(counts > 15)
    return gaps, nibbles, (wide_gaps, (genes - before)[wide_gaps]), (wide_counts, counts[wide_counts].astype(np.int64))


@settings(deadline=None)  # the first example waits for the compiler
@given(rows_of_entries())
def test_what_is_compressed_comes_back(rows):
    pointers, genes, counts, odd = rows
    gaps, nibbles, wide_gaps, wide_counts = encoded(*rows)
    found_genes, found_counts = np.full_like(genes, 9), np.full_like(counts, 9)
    assert decode_gaps(pointers, gaps, *wide_gaps, N_GENES, found_genes)
    assert decode_counts(pointers, odd, 0, nibbles, *wide_counts, found_counts)
    np.testing.assert_array_equal(found_genes, genes)
    np.testing.assert_array_equal(found_counts, counts)


def test_the_bytes_of_two_rows():
    pointers, genes, counts = np.array([0, 3, 5]), np.array([0, 4, 300, 9, 10], np.uint16), np.array([1, 2, 3, 16, 5])
    gaps, nibbles, wide_gaps, wide_counts = encoded(pointers, genes, counts.astype(np.uint8), 0)
    assert gaps.tolist() == [1, 4, 0, 10, 1]
    assert nibbles.tolist() == [0x31, 0x02, 0x50]
    assert [part.tolist() for part in wide_gaps] == [[2], [296]]
    assert [part.tolist() for part in wide_counts] == [[3], [16]]


@pytest.mark.parametrize(
    ("gaps", "wide", "value"),
    [
        ([1, 0, 4], [], []),  # a gap of none
        ([1, 0, 4], [1], [255]),  # one that would fit a byte
        ([1, 2, 4], [1], [300]),  # one where a byte has it
        ([1, 200, 255], [], []),  # beyond the last gene
        ([1, 0, 4], [1], [2**32 - 1]),
    ],
)
def test_gaps_that_cannot_be_are_seen(gaps, wide, value):
    wide, value = np.array(wide, dtype=np.int64), np.array(value, dtype=np.int64)
    out = np.zeros(3, np.uint16)
    assert not decode_gaps(np.array([0, 3]), np.array(gaps, np.uint8), wide, value, 400, out)


@pytest.mark.parametrize(("nibbles", "wide", "value"), [([0x21, 0x00], [], []), ([0x21, 0x03], [2], [20])])
def test_counts_that_cannot_be_are_seen(nibbles, wide, value):
    wide, value, out = np.array(wide, dtype=np.int64), np.array(value, dtype=np.int64), np.zeros(3, np.uint8)
    assert not decode_counts(np.array([0, 3]), 0, 0, np.array(nibbles, np.uint8), wide, value, out)


@pytest.mark.parametrize("kind", [np.uint16, np.uint32])
def test_a_gene_out_of_range_or_a_count_of_zero_is_a_fault(kind):
    genes, counts = np.arange(500, dtype=kind), np.ones(500, np.uint8)
    assert not has_fault(genes, counts, 500)
    assert has_fault(genes, counts, 499)
    assert has_fault(np.full(1, kind(-1 % 2**16)), counts, 500)
    counts[321] = 0
    assert has_fault(genes, counts, 500)
    assert not has_fault(np.arange(65_536).astype(kind), np.ones(65_536, np.uint8), 65_536)
