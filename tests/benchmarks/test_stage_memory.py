import anndata as ad
import numpy as np
from scipy import sparse

from benchmarks.stage_memory import File, write_file
from benchmarks.stage_memory_page import (
    MANY,
    ONE,
    SMALL,
    STAGE,
    WITHOUT_STAGE,
    memory_table,
    page,
    per_sample,
    verdicts,
)


def row(file, n_samples, bundle, peak):
    about = {"n_samples": n_samples, "n_cells": 100 * n_samples, "n_said": n_samples, "seconds": 10.0}
    return {"file": file, "bundle": bundle, "peak_mib": peak, **about}


ROWS = [
    row(SMALL, 24, STAGE, 500.0),
    row(SMALL, 24, WITHOUT_STAGE, 490.0),
    row(ONE, 1, STAGE, 540.0),
    row(MANY, 1048, STAGE, 540.0),
    row(MANY, 1048, WITHOUT_STAGE, 522.0),
]


def test_what_a_sample_takes_is_the_growth_over_the_samples_that_are_more():
    assert per_sample(ROWS) == {"all": 40.0, "stage": 8.0}
    one, many = verdicts(ROWS).splitlines()
    assert one.endswith("8 % above the small file's; at most 10 % wanted: met")
    assert many.endswith("each takes 40.0 KiB, of which the stage 8.0 KiB; at most 10 KiB of the stage wanted: met")
    spoilt = [*ROWS[:2], row(ONE, 1, STAGE, 560.0), row(MANY, 1048, STAGE, 560.0), ROWS[4]]
    assert [line.endswith("**not met**") for line in verdicts(spoilt).splitlines()] == [True, True]


def test_the_page_fills_every_place():
    words = {"command": "make bench-stage-memory", "date": "2026-01-01", "commit": "abc", "hardware": "2 cores"}
    text = page({**words, "seed": 0, "n_genes": 600, "quick": False, "rows": ROWS, "state_bytes": 2048})
    assert "2026-01-01, commit abc, 2 cores" in text
    assert "{" not in text
    assert "2.0 KiB for each sample" in text
    assert "| many samples, without stage | 1,048 | 104,800 | - | 522 | +32 | 10 |" in memory_table(ROWS)


def test_a_file_repeats_its_cells_under_names_of_their_own(tmp_path):
    counts = np.arange(1, 7, dtype=np.float32).reshape(3, 2)
    cells = ad.AnnData(sparse.csr_matrix(counts))
    write_file(tmp_path / "many.h5ad", cells, File("x", 2, 4))
    found = ad.read_h5ad(tmp_path / "many.h5ad")
    assert found.X.toarray().tolist() == counts[[0, 1, 2, 0, 1, 2, 0, 1]].tolist()
    assert found.obs["sample_id"].tolist() == ["sample-0"] * 4 + ["sample-1"] * 4
    assert found.obs_names.is_unique
