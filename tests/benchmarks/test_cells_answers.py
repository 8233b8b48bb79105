from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from benchmarks.cells_answers import (
    Said,
    answer_frame,
    said_by_network,
    said_by_probabilities,
    said_by_scores,
    states_of,
)
from schema.labels import CellOntology


@pytest.fixture(scope="module")
def tree():
    """The project's own tree."""
    return CellOntology.load()


def test_states_are_those_of_the_tree(tree, ontology):
    assert states_of(ontology) == ("ZN1", "ZN2", "ZN3", "ZN4", "ZN5", "ZN6")
    assert states_of(tree)[:2] == ("N_PRO", "N_IMM")
    assert len(states_of(tree)) == 9


def test_probabilities_are_summed_over_the_states_of_a_type(tree):
    classes = np.array(["N_PRO", "N_MAT", "MAC"])
    said = said_by_probabilities(classes, np.array([[0.25, 0.5, 0.25], [0.25, 0.0, 0.75]]), tree)
    index = tree.index_by_id
    assert said.type_call.tolist() == [index["NEUT"], index["MAC"]]
    assert said.state_call.tolist() == [index["N_MAT"], -1]
    assert said.confidence.tolist() == [0.75, 0.75]
    assert said.strangeness.tolist() == [0.25, 0.25]


def test_scores_that_do_not_sum_to_one_are_not_summed(tree):
    classes = np.array(["N_PRO", "N_MAT", "MAC", "L1_EPI"])
    scores = np.array([[0.5, 0.5, 0.75, 0.0], [0.25, 0.5, 0.0, 0.0], [0.0, 0.0, 0.125, 0.25]])
    said = said_by_scores(classes, scores, tree)
    index = tree.index_by_id
    assert said.type_call.tolist() == [index["MAC"], index["NEUT"], index["L1_EPI"]]
    assert said.state_call.tolist() == [-1, index["N_MAT"], -1]
    assert said.confidence.tolist() == [0.75, 0.5, 0.25]


def test_without_states_among_the_labels_none_is_called(tree):
    said = said_by_scores(np.array(["NEUT", "MAC"]), np.array([[0.5, 0.25]]), tree)
    assert said.state_call.tolist() == [-1]


@dataclass
class Output:
    """A folder as predict.py leaves it."""

    folder: object

    def write(self, **columns):
        cells = ad.AnnData(sparse.csr_matrix((2, 1)), obs=pd.DataFrame(index=["a", "b"]))
        cells.obsm["neutrostage_probabilities"] = np.array([[0.75, 0.25], [0.25, 0.75]], dtype=np.float32)
        cells.uns["neutrostage"] = {"probability_columns": np.array(["N_MAT", "MAC"], dtype=object)}
        cells.write_h5ad(self.folder / "annotated.h5ad")
        table = {"predicted_cell_type": ["neutrophil", "no counts"], "predicted_cell_type_conf": [0.75, 0.0]}
        pq.write_table(pa.table(table | columns), self.folder / "cells.parquet")


def test_the_network_is_read_from_what_predict_wrote(tree, tmp_path):
    Output(tmp_path).write(ood_score=[0.125, None])
    said, how = said_by_network(tmp_path, tree)
    assert said.type_call.tolist() == [tree.index_by_id["NEUT"], -1]
    assert said.state_call.tolist() == [tree.index_by_id["N_MAT"], -1]
    np.testing.assert_array_equal(said.strangeness, [0.125, np.nan])
    assert how == "ood_score"


def test_without_a_score_of_its_own_strangeness_is_the_lack_of_confidence(tree, tmp_path):
    Output(tmp_path).write()
    said, how = said_by_network(tmp_path, tree)
    assert said.strangeness.tolist() == [0.25, 1.0]
    assert how == "1 - predicted_cell_type_conf"


def test_answers_stand_beside_the_truth_and_say_what_could_be_known(tree):
    labels = ["N_MAT", "PLASMA", "L1_LYM", "unlabelled"]
    obs = pd.DataFrame({"cell_type": labels, "donor_id": "d", "study": "s", "library_size": 100.0}, index=list("abcd"))
    index = tree.index_by_id
    calls = np.array([index["NEUT"], index["B"], index["B"], index["B"]])
    said = Said(calls, np.full(4, -1), np.ones(4), np.zeros(4))
    frame = answer_frame(obs, said, tree, ["N_PRO", "B"], group="donor_id", stratum="study")
    assert frame["state"].tolist() == [index["N_MAT"], index["PLASMA"], index["L1_LYM"], -1]
    assert frame["type"].tolist() == [index["NEUT"], index["PLASMA"], -1, -1]
    assert frame["label"].tolist() == [index["NEUT"], index["PLASMA"], index["L1_LYM"], -1]
    assert frame["is_answerable"].tolist() == [True, False, True, False]
    assert frame["credited_call"].tolist() == [index["NEUT"], index["B"], index["L1_LYM"], index["B"]]


def test_a_broad_training_label_does_not_make_a_type_known(tree):
    obs = pd.DataFrame({"cell_type": ["BMYO"], "donor_id": "d", "study": "s", "library_size": 1.0}, index=["a"])
    said = Said(np.array([0]), np.array([-1]), np.ones(1), np.ones(1))
    frame = answer_frame(obs, said, tree, ["L1_EPI"], group="donor_id", stratum="study")
    assert frame["is_answerable"].tolist() == [False]
