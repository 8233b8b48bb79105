"""The batches of a plan as Lightning takes them."""

import numpy as np
import pytest
import torch

from datamodules.buffers import ReadMemory
from datamodules.loaders import BatchLoader
from datamodules.order import SequentialPlan
from datamodules.sources import SourceFile
from datamodules.store import open_store
from schema.genes import GeneVocabulary, match_genes

N_GENES = 12


@pytest.fixture
def loader_of(tmp_path, write_cohort):
    """Return a function that gives the loader of a plan over 25 cells."""
    write_cohort(tmp_path / "a.h5ad", n_cells=25, n_genes=N_GENES)
    vocabulary = GeneVocabulary(tuple(f"Gene0x{gene}" for gene in range(N_GENES)), ("",) * N_GENES, "mouse")
    with open_store(tmp_path / "a.h5ad") as store:
        match = match_genes(vocabulary, store.gene_symbols, store.gene_ids)
        file = SourceFile.unlabelled(store, match, np.zeros(25, dtype=np.int64))

        def make(plan):
            memory = ReadMemory()
            return BatchLoader([file], [np.arange(25)], plan, device=torch.device("cpu"), n_threads=1, memory=memory)

        yield make


def rows_of(loader):
    return [batch.row.tolist() for batch in loader]


def test_it_begins_where_its_state_was_saved_and_then_anew(loader_of):
    loader = loader_of(SequentialPlan([25], 10))
    loader.load_state_dict({"batch": 2})
    assert rows_of(loader) == [list(range(20, 25))]
    assert rows_of(loader) == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert len(loader) == 3


@pytest.mark.parametrize("first", [0, 2])
def test_a_rank_that_would_get_fewer_batches_than_others_is_an_error(loader_of, first):
    plan = SequentialPlan([25], 10)
    plan.n_batches = 4  # what all other ranks are promised
    plan.windows = lambda first_batch: SequentialPlan([25], 10).windows(first_batch)
    loader = loader_of(plan)
    loader.load_state_dict({"batch": first})
    with pytest.raises(AssertionError, match="as many batches as all others"):
        rows_of(loader)
