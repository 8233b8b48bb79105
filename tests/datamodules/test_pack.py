import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.canonical import canonical_part
from datamodules.pack import RawPart, gather, is_packable, joined, pack
from datamodules.space import LargeCounts, RowSpace

N_GENES = 6
EXACT = 2**24

DTYPES = [
    ("i4", "f4"),
    ("i8", "f8"),
    ("u4", "i4"),
    ("u2", "i8"),
    ("i4", "u1"),
    ("i4", "i2"),
    ("i8", "u2"),
    ("i4", "u4"),
]


def part_of(rows, indices="i4", values="f4"):
    """Return rows of (column, count) pairs as they would lie in a file, end to end."""
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    ends = np.cumsum(sizes)
    pairs = [pair for row in rows for pair in row]
    return RawPart(
        ends - sizes,
        ends,
        np.array([column for column, _ in pairs], dtype=indices),
        np.array([count for _, count in pairs], dtype=values),
    )


def new_space(n_rows=10, n_entries=100, dtype=np.uint16):
    return RowSpace(np.full(n_entries, 9, dtype=dtype), np.full(n_entries, 9, dtype=np.uint8), n_rows)


def rows_of(space, large, first, n_rows):
    """Return packed rows as (column, exact count) pairs."""
    exact = {(row, offset): value for row, offset, value in zip(*(column.tolist() for column in large), strict=True)}
    rows = []
    for row in range(first, first + n_rows):
        entries = slice(space.start[row], space.start[row] + space.length[row])
        packed = zip(space.indices[entries].tolist(), space.counts[entries].tolist(), strict=True)
        rows.append([(c, exact[row, at] if count == 255 else count) for at, (c, count) in enumerate(packed)])
    return rows


@pytest.mark.parametrize("dtypes", DTYPES)
@pytest.mark.parametrize("out", [np.uint16, np.int32])
def test_canonical_rows_are_packed(dtypes, out):
    rows = [[(0, 1), (5, 254)], [], [(2, 255)], [(1, 3), (3, 7), (4, 2)]]
    space = new_space(dtype=out)
    large = pack(part_of(rows, *dtypes), N_GENES, space, 2, 10)
    assert space.start[2:6].tolist() == [10, 12, 12, 13]
    assert space.length[2:6].tolist() == [2, 0, 1, 3]
    assert space.library_size[2:6].tolist() == [255, 0, 255, 12]
    assert space.indices[9:17].tolist() == [9, 0, 5, 2, 1, 3, 4, 9]
    assert space.counts[9:17].tolist() == [9, 1, 254, 255, 3, 7, 2, 9]
    assert [column.tolist() for column in large] == [[4], [0], [255]]
    assert [column.dtype for column in large] == [np.int64, np.int64, np.float32]


@pytest.mark.parametrize("count", [254, 255, 256, 70_000, EXACT])
def test_large_counts_are_exact_wherever_they_stand(count):
    row = [(column, count if column in (0, 63, 64, 130, 199) else 2) for column in range(200)]
    space = new_space(n_entries=1000)
    large = pack(part_of([[(7, 1)], row]), 200, space, 1, 5)
    assert rows_of(space, large, 1, 2) == [[(7, 1)], row]
    assert large.offset.tolist() == ([] if count == 254 else [0, 63, 64, 130, 199])
    assert large.row.tolist() == [2] * len(large.offset)
    assert space.library_size[1:3].tolist() == [1, float(np.float32(5 * count + 2 * 195))]


def test_rows_with_gaps_between_them_are_packed_end_to_end():
    part = part_of([[(0, 1)], [(4, 9), (5, 9)], [(2, 3)]])
    space = new_space()
    large = pack(RawPart(part.begin[::2], part.end[::2], part.indices, part.values), N_GENES, space, 0, 0)
    assert rows_of(space, large, 0, 2) == [[(0, 1)], [(2, 3)]]
    assert space.start[:2].tolist() == [0, 1]


@pytest.mark.parametrize(
    "row",
    [
        [(1, 1), (1, 1)],
        [(2, 1), (1, 1)],
        [(0, 0)],
        [(6, 1)],
        [(-1, 1)],
        [(1, 0.5)],
        [(1, -1)],
        [(1, -0.5)],
        [(1, 254.5)],
        [(1, 255.5)],
        [(1, -1e30)],
        [(1, 1e30)],
        [(1, np.nan)],
        [(1, np.inf)],
        [(1, -np.inf)],
        [(1, EXACT + 2)],
    ],
)
@pytest.mark.parametrize("place", [0, 2])
def test_rows_that_are_not_canonical_are_not_packed(row, place):
    rows = [[(0, 1), (5, 1)], [(0, 300)]]
    rows.insert(place, row)
    assert pack(part_of(rows, "i8", "f8"), N_GENES, new_space(), 0, 0) is None


@pytest.mark.parametrize("dtype", ["i2", "i4", "i8", "u2", "u4"])
@pytest.mark.parametrize("end", ["min", "max"])
def test_integers_far_from_counts_are_not_packed(dtype, end):
    count = getattr(np.iinfo(dtype), end)
    is_count = 0 < count <= EXACT
    packed = pack(part_of([[(0, 1), (5, count)]], values=dtype), N_GENES, new_space(), 0, 0)
    assert (packed is not None) is is_count


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, 0, -1, EXACT + 2])
@pytest.mark.parametrize("at", [0, 31, 32, 127, 128, 500, 999])
def test_one_bad_count_among_many_is_found_wherever_it_stands(bad, at):
    row = [(column, bad if column == at else (300 if column % 100 == 7 else 2)) for column in range(1000)]
    assert pack(part_of([row], values="f8"), 1000, new_space(n_entries=1000), 0, 0) is None
    assert pack(part_of([row], values="f4"), 1000, new_space(n_entries=1000), 0, 0) is None


def test_the_library_size_of_a_very_long_row_does_not_overflow():
    n = 9_000_000
    part = RawPart(np.zeros(1, np.int64), np.array([n]), np.arange(n, dtype=np.int32), np.full(n, 254, np.float32))
    space = new_space(n_entries=n, dtype=np.int32)
    assert pack(part, n, space, 0, 0) is not None
    assert space.library_size[0] == np.float32(254 * n)


@pytest.mark.parametrize(
    ("n_rows", "n_entries", "row", "entry"), [(3, 100, 2, 0), (10, 3, 0, 0), (10, 100, 0, 97), (10, 100, 9, 0)]
)
def test_what_the_space_cannot_hold_is_not_written(n_rows, n_entries, row, entry):
    with pytest.raises(IndexError):
        pack(part_of([[(0, 1), (5, 1)], [(1, 1), (2, 1)]]), N_GENES, new_space(n_rows, n_entries), row, entry)


def test_genes_beyond_16_bits_need_wider_indices():
    part = part_of([[(65_536, 1)]])
    with pytest.raises(IndexError):
        pack(part, 65_537, new_space(), 0, 0)
    space = new_space(dtype=np.int32)
    assert pack(part, 65_537, space, 0, 0) is not None
    assert space.indices[0] == 65_536


@pytest.mark.parametrize(
    ("indices", "values", "expected"),
    [
        ("i4", "f4", True),
        ("u2", "u1", True),
        (">i4", "f4", False),
        ("i4", ">f4", False),
        ("f4", "f4", False),
        ("i4", "f2", False),
        ("i4", "i1", False),
        ("i4", "u8", False),
        ("i4", "?", False),
        ("u8", "f4", False),
    ],
)
def test_rare_number_types_take_the_careful_route(indices, values, expected):
    assert is_packable(np.dtype(indices), np.dtype(values)) is expected


def scipy_rows(part, gene, n_genes):
    """Return rows with genes renumbered, duplicates summed and zeros dropped, by scipy."""
    kept = gene[part.indices] >= 0
    rows = np.repeat(np.arange(len(part.begin)), part.end - part.begin)[kept]
    columns = gene[part.indices][kept]
    return sp.coo_matrix((part.values[kept].astype(np.float64), (rows, columns)), (len(part.begin), n_genes)).toarray()


any_rows = st.lists(st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0, 1, 3, 254, 255, 70_000])), max_size=12))


@settings(deadline=None)  # each number type is compiled at its first use
@given(any_rows, st.lists(st.integers(-1, 5), min_size=9, max_size=9), st.sampled_from(DTYPES))
def test_any_rows_become_what_scipy_makes_of_them(rows, gene, dtypes):
    values = dtypes[1] if dtypes[1] not in ("u1", "i2", "u2") else "i4"
    part, gene = part_of(rows, dtypes[0], values), np.array(gene)
    expected = scipy_rows(part, gene, N_GENES)
    ordered = canonical_part(part, gene)
    space = new_space(len(rows), sum(map(len, rows)))
    large = pack(ordered, N_GENES, space, 0, 0)
    got = np.zeros_like(expected)
    for at, row in enumerate(rows_of(space, large, 0, len(rows))):
        columns = [column for column, _ in row]
        assert columns == sorted(set(columns))
        got[at, columns] = [count for _, count in row]
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(space.library_size, expected.sum(axis=1).astype(np.float32))


@pytest.mark.parametrize("n_moved", [0, 1, 2, 5, 9, 40, 200])
def test_rows_with_few_or_many_genes_out_of_order_agree_with_scipy(n_moved):
    rng = np.random.default_rng(n_moved)
    rows = [[(c, rng.integers(0, 4)) for c in np.flatnonzero(rng.random(300) < 0.5)] for _ in range(20)]
    gene = np.arange(300)
    gene[rng.choice(300, n_moved, replace=False)] = rng.integers(-1, 300, n_moved)
    part = part_of(rows)
    ordered, space = canonical_part(part, gene), new_space(20, 3000)
    large = pack(ordered, 300, space, 0, 0)
    got = np.zeros((20, 300))
    for at, row in enumerate(rows_of(space, large, 0, 20)):
        got[at, [column for column, _ in row]] = [count for _, count in row]
    np.testing.assert_array_equal(got, scipy_rows(part, gene, 300))


@pytest.mark.parametrize("row", [[(9, 1)], [(-1, 1)], [(0, 0.5)], [(0, -1)], [(0, np.nan)], [(0, EXACT + 2)]])
def test_what_no_matrix_may_hold_is_not_put_in_order(row):
    assert canonical_part(part_of([[(1, 1)], row], "i8", "f8"), np.arange(9)) is None


@pytest.mark.parametrize("n", [2, 60, 300])
@pytest.mark.parametrize("first", [[(3, 1)], [(4, 1)], [(3, 1), (8, 1)], [(4, 1), (8, 1)]])
@pytest.mark.parametrize("n_more", [0, 5000])
def test_sums_too_large_to_be_exact_do_not_pass(n, first, n_more):
    more = [(column, 1) for column in range(10, 10 + n_more)]
    ordered = canonical_part(part_of([[(5, 1), (4, 1)], first + more + [(3, EXACT)] * n]), np.arange(6000))
    assert (ordered.indices[:2].tolist(), ordered.values[:2].tolist()) == ([4, 5], [1, 1])
    assert ordered.indices[2:].tolist() == [*sorted({column for column, _ in first} | {3}), *(c for c, _ in more)]
    assert ordered.values[2] == min(n * EXACT + (first[0][0] == 3), 2**30)
    assert set(ordered.values[3:].tolist()) <= {1}
    assert pack(ordered, 6000, new_space(2, 6000), 0, 0) is None


def test_rows_are_gathered_in_any_order():
    rows = [[(0, 1), (5, 254)], [], [(2, 255), (3, 1), (4, 70_000)], [(1, 3), (3, 7)]]
    space = new_space()
    tail = pack(part_of(rows[2:]), N_GENES, space, 2, 40)
    large = joined([pack(part_of(rows[:2]), N_GENES, space, 0, 3), tail])
    indices, counts = np.zeros(20, dtype=np.uint16), np.zeros(20, dtype=np.uint8)
    indptr, large_at, large_count = gather(space, large, np.array([3, 2, 1, 0, 2]), indices, counts)
    assert indptr.tolist() == [0, 2, 5, 5, 7, 10]
    assert indices[:11].tolist() == [1, 3, 2, 3, 4, 0, 5, 2, 3, 4, 0]
    assert counts[:11].tolist() == [3, 7, 255, 1, 255, 1, 254, 255, 1, 255, 0]
    assert (large_at.tolist(), large_count.tolist()) == ([2, 4, 7, 9], [255, 70_000, 255, 70_000])
    assert (indptr.dtype, large_at.dtype, large_count.dtype) == (np.int64, np.int64, np.float32)


def test_nothing_is_gathered_as_nothing():
    empty = joined([])
    indptr, large_at, large_count = gather(
        new_space(), empty, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint16), np.zeros(0, dtype=np.uint8)
    )
    assert (indptr.tolist(), large_at.tolist(), large_count.tolist()) == ([0], [], [])


def test_an_output_too_short_is_not_written():
    space = new_space()
    large = pack(part_of([[(0, 1), (5, 1)]]), N_GENES, space, 0, 0)
    with pytest.raises(IndexError):
        gather(space, large, np.array([0, 0]), np.zeros(4, dtype=np.uint16), np.zeros(3, dtype=np.uint8))


def test_large_counts_of_parts_are_joined_in_order():
    parts = [LargeCounts(np.array([n]), np.array([n + 1]), np.array([n + 300], dtype=np.float32)) for n in range(3)]
    assert [column.tolist() for column in joined(parts)] == [[0, 1, 2], [1, 2, 3], [300, 301, 302]]
    assert [column.dtype for column in joined([])] == [np.int64, np.int64, np.float32]
