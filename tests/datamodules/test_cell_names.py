import numpy as np

from datamodules.cell_names import cell_ids_at


class Names:
    """A store of which nothing but the names of its cells is asked."""

    n_cells = 10

    def __init__(self):
        self.asked = []

    def cell_ids(self, start, stop):
        self.asked.append((start, stop))
        return [f"cell {row}" for row in range(start, stop)]


def test_names_come_in_the_order_asked_for_and_no_part_is_read_twice(monkeypatch):
    monkeypatch.setattr("datamodules.cell_names.BLOCK_ROWS", 4)
    store = Names()
    assert cell_ids_at(store, np.array([9, 1, 2, 9])) == ["cell 9", "cell 1", "cell 2", "cell 9"]
    assert store.asked == [(0, 4), (8, 10)]
    assert cell_ids_at(store, np.array([], dtype=np.int64)) == []
