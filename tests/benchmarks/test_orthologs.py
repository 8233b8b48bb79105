import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.orthologs import IDENTITY, Agreement, agreement, markers_joined
from benchmarks.real_human import write_as_mouse
from schema.orthologs import OrthologMap


def test_agreement_counts_right_wrong_missing_and_relatives():
    rows = [
        ("A1", "A1", True),  # identity is right
        ("B2", "B1", True),  # B1 exists in human and pairs elsewhere: wrong
        ("B1", "C9", False),
        ("D1", "Dx", True),  # DX is no human gene: missing
        ("E1", "E1", False),  # related, not one-to-one
        ("E1", "E2", False),
    ]
    frame = pd.DataFrame(rows, columns=["human_symbol", "mouse_symbol", "one_to_one"])
    assert agreement(IDENTITY, frame, "mouse", "human") == Agreement(1, 1, 1, n_named=3, n_related=1)


def test_markers_are_joined_where_the_human_gene_is_there():
    assert markers_joined(IDENTITY, ["Cxcr2", "Ly6g"], {"CXCR2"}) == ["Cxcr2"]


def test_human_cells_take_mouse_names_once(tmp_path):
    cells = ad.AnnData(sparse.csr_matrix(np.eye(3)), var=pd.DataFrame(index=["H2AZ1", "H2AFZ", "CXCL8"]))
    cells.write_h5ad(tmp_path / "human.h5ad")
    orthologs = OrthologMap((("H2az1", "H2AZ1"), ("H2az1", "H2AFZ")))
    write_as_mouse(tmp_path / "human.h5ad", ["H2az1"], orthologs, tmp_path / "mouse.h5ad")
    assert list(ad.read_h5ad(tmp_path / "mouse.h5ad").var_names) == ["H2az1", "human:H2AFZ", "human:CXCL8"]
