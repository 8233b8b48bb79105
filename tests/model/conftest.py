import pytest

from model.augment import dense_cells


@pytest.fixture
def make_cells(make_batch, ontology):
    """Return a function that makes dense cells of counts, labelled by node id; None = unlabelled."""

    def make(counts, labels=None, **known):
        if labels is not None:
            known["cell_type"] = [-1 if name is None else ontology.index_by_id[name] for name in labels]
        return dense_cells(make_batch(counts, **known))

    return make
