import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from schema.errors import UsageError
from schema.genes import GeneVocabulary
from schema.predictions import GENE_COLUMNS, read_genes, write_genes
from scoring.cells import NO_CALL
from scoring.drawn_cells import CellDraw
from scoring.gene_table import GeneSources, called_node, explain_calls
from tests.scoring.made_calls import calls_of

SYMBOLS = ("S100a8", "Cxcr2", "Csf1r", "Cpa3", "NA", "Actb")
ABSENT = SYMBOLS.index("Cpa3")


class Cells:
    """Fifty neutrophils, thirty macrophages and twelve mast cells of two samples, and what was asked of them."""

    def __init__(self, ontology, cell_type=("NEUT",) * 50 + ("MAC",) * 30 + ("MAST",) * 12):
        rng = np.random.default_rng(0)
        self.ontology, self.asked = ontology, []
        self.cell_type = np.array([ontology.index_by_id[name] for name in cell_type])
        mean = {"NEUT": [3, 2, 0, 0, 1, 2], "MAC": [0, 0, 4, 0, 1, 2], "MAST": [0, 0, 1, 0, 1, 2]}
        self.values = np.array([mean[name] for name in cell_type]) + rng.uniform(0, 0.2, (len(cell_type), 6))
        self.values[:, ABSENT] = 0
        self.sample = np.arange(len(cell_type)) % 2
        self.state = np.full(len(cell_type), NO_CALL)

    def draw(self, n_cells=20):
        draw = CellDraw(self.ontology, 2, n_cells, 0)
        draw.update(0, calls_of(self.cell_type, self.state), self.sample)
        return draw

    def attribute(self, node, given, rows, others):
        """Say of each gene how much higher it is than in the cells of comparison."""
        self.asked.append((node, given, rows, others))
        base = self.values[others].mean(0) if len(others) else np.zeros(6)
        return self.values[rows].mean(0) - base

    def table(self, draw=None, nodes=None, unknown=None, n_genes=3):
        sources = GeneSources(
            ontology=self.ontology,
            vocabulary=GeneVocabulary(SYMBOLS, ("",) * 6, "mouse"),
            sample_ids=["first", "second"],
            present=np.arange(6) != ABSENT,
            expression=lambda rows: sparse.csr_matrix(self.values[rows].astype(np.float32)),
            unknown=unknown,
            attribute=self.attribute,
        )
        return explain_calls(draw or self.draw(), sources, n_genes=n_genes, seed=0, nodes=nodes)


@pytest.fixture
def cells(ontology):
    return Cells(ontology)


def test_the_table_holds_to_its_contract_and_comes_back_from_disk(cells, tmp_path):
    table = cells.table()
    assert [(name, str(dtype)) for name, dtype in table.dtypes.items()] == [(c.name, c.dtype) for c in GENE_COLUMNS]
    write_genes(table, tmp_path / "genes.csv")
    pd.testing.assert_frame_equal(read_genes(tmp_path / "genes.csv"), table, rtol=1e-5)
    with pytest.raises(ValueError, match="Expected column 6"):
        write_genes(table.drop(columns="gene"), tmp_path / "genes.csv")


def test_a_gene_called_na_is_a_gene(cells, tmp_path):
    table = cells.table(n_genes=6)
    table["gene"] = "NA"
    write_genes(table, tmp_path / "genes.csv")
    assert set(read_genes(tmp_path / "genes.csv")["gene"]) == {"NA"}


def test_rows_are_by_call_and_neutrophils_also_by_sample(cells):
    table = cells.table()
    groups = table.groupby(["cell_type_id", "sample_id"], sort=False)["n_cells"].first().to_dict()
    assert groups == {
        ("NEUT", ""): 20,
        ("NEUT", "first"): 20,
        ("NEUT", "second"): 20,
        ("MAC", ""): 20,
        ("MAST", ""): 12,
    }
    assert (table.groupby(["cell_type_id", "sample_id"])["rank"].first() == 1).all()
    neutrophils = table[(table["cell_type_id"] == "NEUT") & (table["sample_id"] == "")]
    assert neutrophils["gene"].tolist()[:2] == ["S100a8", "Cxcr2"]
    assert neutrophils["is_marker"].tolist()[:2] == [True, True]
    assert neutrophils["linear_rank"].tolist()[:2] == [1, 2]
    assert set(neutrophils["level"]) == {2}
    assert table.loc[table["cell_type_id"] == "MAC", "gene"].iloc[0] == "Csf1r"


def test_a_gene_that_was_not_measured_or_speaks_against_has_no_row(cells):
    table = cells.table(n_genes=6)
    assert "Cpa3" not in set(table["gene"])
    assert (table["attribution"] > 0).all()
    assert "Csf1r" not in set(table.loc[table["cell_type_id"] == "NEUT", "gene"])


def test_cells_of_comparison_were_called_otherwise_each_call_alike(cells):
    cells.table(cells.draw(30))
    _, given, rows, others = next(asked for asked in cells.asked if asked[0] == cells.ontology.index_by_id["NEUT"])
    assert given is None
    assert len(others) == len(rows) == 30
    names = [cells.ontology.nodes[code].id for code in cells.cell_type[others]]
    assert set(names) == {"MAC", "MAST"}
    assert 8 <= names.count("MAST") <= 22  # a half, though there are two and a half times as many macrophages


def test_means_and_linear_values_are_what_they_are_said_to_be(cells):
    draw = cells.draw()
    table = cells.table(draw, n_genes=6).set_index(["cell_type_id", "sample_id", "gene"])
    by_node = {cells.ontology.nodes[group.node].id: rows for group, rows in draw.groups().items() if group.sample < 0}
    mean = {name: cells.values[rows].mean(0) for name, rows in by_node.items()}
    row = table.loc[("NEUT", "", "S100a8")]
    assert row["mean_expression"] == pytest.approx(mean["NEUT"][0], rel=1e-5)
    assert row["mean_expression_elsewhere"] == pytest.approx(
        (30 * mean["MAC"][0] + 12 * mean["MAST"][0]) / 42, rel=1e-5
    )
    gained = [table.loc[("NEUT", "", gene), "linear"] for gene in ("S100a8", "Cxcr2")]
    assert 0.3 < sum(gained) < 1.1  # of a score that goes from 0 to 1
    assert gained[0] > gained[1] > 0


def test_the_rank_correlation_is_spearmans_over_the_genes_that_say_most(cells, monkeypatch):
    monkeypatch.setattr("scoring.gene_table.COMPARED_GENES", 4)
    cells.attribute = lambda *_: np.array([1.0, 6.0, 5.0, 0.0, 3.0, 2.0])
    table = cells.table(nodes=[cells.ontology.index_by_id["MAC"]], n_genes=6)
    assert table["gene"].tolist() == ["Cxcr2", "Csf1r", "NA", "Actb", "S100a8"]
    loudest = table.iloc[:4]
    expected = stats.spearmanr(loudest["attribution"], loudest["linear"]).statistic
    assert table["rank_correlation"].tolist() == pytest.approx([expected] * 5)


def test_states_are_compared_with_other_states_and_given_the_type(ontology):
    cells = Cells(ontology, ("NEUT",) * 60)
    cells.state = np.array([ontology.index_by_id[name] for name in ("N_ANG", "N_MAT", "N_ISG")] * 20)
    cells.values[cells.state == ontology.index_by_id["N_ANG"], 4] += 5
    table = cells.table()
    assert table.loc[table["cell_type_id"] == "N_ANG", "gene"].iloc[0] == "NA"
    state = next(asked for asked in cells.asked if asked[0] == ontology.index_by_id["N_ANG"])
    assert state[1] == ontology.index_by_id["NEUT"]
    assert ontology.index_by_id["N_ANG"] not in cells.state[state[3]]


def test_a_file_of_one_type_has_no_other_cells_to_compare_with(ontology):
    cells = Cells(ontology, ("NEUT",) * 30)
    table = cells.table()
    assert all(len(asked[3]) == 0 for asked in cells.asked)
    assert len(table) > 0
    assert table[["linear", "linear_rank", "mean_expression_elsewhere", "rank_correlation"]].isna().all(axis=None)


def test_against_the_unknown_no_cells_are_needed(cells):
    unknown = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    table = cells.table(unknown=unknown)
    assert all(len(asked[3]) == 0 for asked in cells.asked)
    assert table["linear"].notna().all()


def test_too_few_cells_are_not_explained(ontology):
    table = Cells(ontology, ("NEUT",) * 9 + ("MAC",) * 40).table()
    assert set(table["cell_type_id"]) == {"MAC"}


def test_nothing_drawn_gives_no_rows(cells):
    table = cells.table(cells.draw(0))
    assert len(table) == 0
    assert list(table.columns) == [column.name for column in GENE_COLUMNS]


def test_some_calls_only(cells):
    table = cells.table(nodes=[cells.ontology.index_by_id["MAST"]])
    assert set(table["cell_type_id"]) == {"MAST"}
    whole = cells.table()
    pd.testing.assert_frame_equal(table, whole[whole["cell_type_id"] == "MAST"].reset_index(drop=True))


def test_names_of_calls(ontology):
    assert called_node(ontology, "neutrophils") == ontology.index_by_id["NEUT"]
    assert called_node(ontology, "N_ANG") == ontology.index_by_id["N_ANG"]
    for name in ("myeloid cell", "unknown", "macrofage"):
        with pytest.raises(UsageError, match="type \\(level 2\\) or a neutrophil state"):
            called_node(ontology, name)
    with pytest.raises(UsageError, match="macrophage"):
        called_node(ontology, "macrofage")
