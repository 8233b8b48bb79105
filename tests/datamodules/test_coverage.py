from types import SimpleNamespace

import pytest

from datamodules.coverage import cover
from schema.errors import InputError
from schema.genes import GeneVocabulary

MOUSE = GeneVocabulary(("Cxcr2", "Car4", "Ly6g", "Epcam"), ("", "", "", ""), "mouse")


def store_of(*symbols):
    return SimpleNamespace(gene_symbols=symbols, gene_ids=("",) * len(symbols), name="f.h5ad", counts_location="X")


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
