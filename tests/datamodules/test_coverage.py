from types import SimpleNamespace

import pytest

from datamodules.coverage import cover
from schema.errors import InputError
from schema.genes import GeneVocabulary

MOUSE = GeneVocabulary(("Cxcr2", "Car4", "Ly6g", "Epcam"), ("", "", "", ""), "mouse")


def store_of(*symbols, cells=("AAAC-1", "AAAG-1")):
    return SimpleNamespace(
        gene_symbols=symbols,
        gene_ids=("",) * len(symbols),
        name="f.h5ad",
        counts_location="X",
        n_cells=len(cells),
        cell_ids=lambda start, stop: list(cells[start:stop]),
    )


def test_few_genes_are_a_warning_that_says_how_many(caplog):
    cover(store_of("Epcam", "Zfp1", "Zfp2"), MOUSE, orthologs=None, min_share=0.1)
    assert "f.h5ad: few of the bundle's genes were measured, 1 of 4 (25.0%): calls are less sure" in caplog.messages
    caplog.clear()
    cover(store_of("Epcam", "Cxcr2", "Zfp2"), MOUSE, orthologs=None, min_share=0.1)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_genes_that_a_spreadsheet_changed_are_counted(caplog):
    cover(
        store_of("Epcam", "Cxcr2", "Ly6g", "1-Mar", "Sep-2", "2023-03-01 00:00:00"),
        MOUSE,
        orthologs=None,
        min_share=0.1,
    )
    assert "f.h5ad: 3 genes are named like dates (1-Mar, Sep-2, 2023-03-01 00:00:00)" in caplog.text


def test_cells_that_are_named_like_genes_are_told_from_genes_that_nobody_knows():
    with pytest.raises(InputError, match=r"cells x genes: got cells that are named like genes \(Cxcr2, Epcam, Zfp1\)"):
        cover(store_of("s1_1", "s1_2", cells=("Cxcr2", "Epcam", "Zfp1")), MOUSE, orthologs=None, min_share=0.1)
    with pytest.raises(InputError, match="genes must be mouse or human"):
        cover(store_of("s1_1", "s1_2"), MOUSE, orthologs=None, min_share=0.1)


def test_a_file_of_the_same_species_is_matched_by_name(caplog):
    caplog.set_level("INFO")
    coverage = cover(store_of("Epcam", "Cxcr2", "Zfp1"), MOUSE, orthologs=None, min_share=0.1)
    assert coverage.match.column.tolist() == [3, 0, -1]
    assert coverage.percent == 50.0
    assert not coverage.by_orthologs
    assert "2 of 4 (50.0%)" in caplog.text


def test_a_file_of_the_other_species_is_read_through_orthologs():
    coverage = cover(store_of("CXCR2", "CA4", "FCGR3B", "TP53"), MOUSE, orthologs=None, min_share=0.1)
    assert coverage.match.column.tolist() == [0, 1, -1, -1]
    assert coverage.by_orthologs
    assert coverage.words["species of the file"] == "human"


def test_too_few_genes_are_refused():
    with pytest.raises(InputError, match=r"1 of 4 \(25\.0%\), floor 50%"):
        cover(store_of("Epcam", "Zfp1", "Zfp2"), MOUSE, orthologs=None, min_share=0.5)


HUMAN = GeneVocabulary(("CXCR2", "CA4", "", "", "CXCL8", "FCGR3B"), ("",) * 6, "human")
BOTH = GeneVocabulary(("Cxcr2", "Car4", "Ly6g", "Epcam", "", ""), ("",) * 6, "mouse", HUMAN)


@pytest.mark.parametrize(
    ("symbols", "species", "columns", "percent"),
    [
        (("FCGR3B", "CXCR2", "LY6G", "CXCL8"), "human", [5, 0, -1, 4], 75.0),
        (("Ly6g", "Cxcr2", "Tnfrsf23", "Cxcl8"), "mouse", [2, 0, -1, -1], 50.0),
    ],
)
def test_a_bundle_of_both_species_meets_a_file_of_either_by_its_own_names(caplog, symbols, species, columns, percent):
    caplog.set_level("INFO")
    coverage = cover(store_of(*symbols), BOTH, orthologs=None, min_share=0.1)
    assert coverage.match.column.tolist() == columns
    assert coverage.percent == percent  # of the four genes that the species can have
    assert not coverage.by_orthologs
    assert f"{species} file, bundle trained on mouse and human" in caplog.text
    assert f"of the bundle's {species} genes found" in caplog.text
    assert coverage.words["species of the bundle"] == "mouse and human"
