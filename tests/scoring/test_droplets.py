import numpy as np
import pandas as pd

from schema.labels import CellOntology
from scoring.droplets import (
    AMBIENT,
    CELL,
    LOW_COUNTS,
    droplet_kinds,
    is_described,
    looks_unfiltered,
    low_counts,
    n_described,
    unfiltered_sentence,
)


def test_barcodes_below_the_floor_and_empty_ones_have_low_counts():
    sizes = np.array([0, 1, 49, 50, 150], dtype=np.float32)
    assert low_counts(sizes, 50).tolist() == [True, True, True, False, False]
    assert low_counts(sizes, 0).tolist() == [True, False, False, False, False]


def test_a_file_is_unfiltered_from_a_fifth_of_low_counts_on():
    sizes = np.full(1000, 800.0)
    sizes[:199] = 3
    assert not looks_unfiltered(sizes)
    sizes[199] = 3
    assert looks_unfiltered(sizes)
    assert not looks_unfiltered(np.zeros(0))


def test_kinds_of_barcodes(ontology):
    at = ontology.index_by_id
    cell_type = np.array([-1, at["AMBIENT"], at["NEUT"], at["DOUBLET"], -1], dtype=np.int16)
    kind = droplet_kinds(np.array([True, False, False, False, True]), cell_type, ontology)
    assert kind.tolist() == [LOW_COUNTS, AMBIENT, CELL, CELL, LOW_COUNTS]
    assert is_described(kind, unfiltered=False).tolist() == [False, True, True, True, False]
    assert is_described(kind, unfiltered=True).tolist() == [False, False, True, True, False]


def test_a_tree_without_ambient_droplets_knows_none(ontology):
    content = ontology.to_dict()
    del content["roles"]["ambient"]
    plain = CellOntology.from_dict(content)
    assert plain.ambient_type is None
    kind = droplet_kinds(np.zeros(1, bool), np.array([ontology.index_by_id["AMBIENT"]], dtype=np.int16), plain)
    assert kind.tolist() == [CELL]


def test_the_report_says_how_many_barcodes_are_in_no_figure():
    samples = pd.DataFrame({"n_cells": [1000, 500], "n_low_counts": [900, 300], "n_ambient": [10, 20]})
    assert n_described(samples, unfiltered=True).tolist() == [90, 180]
    assert n_described(samples, unfiltered=False).tolist() == [100, 200]
    words = unfiltered_sentence(samples, 50).replace("\u202f", ",")
    assert "1,200 of its 1,500 barcodes have fewer than 50 UMI" in words
    assert "30 more were called ambient RNA" in words
    assert "the other 270." in words
