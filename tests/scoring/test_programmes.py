import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from schema.genes import GeneVocabulary
from schema.orthologs import load_orthologs
from scoring.programmes import Pseudobulk, genes_of_programmes, load_programmes, polarity

COUNTS = np.array([[5, 0, 1, 0, 3, 0], [4, 1, 0, 0, 2, 0]], dtype=np.float32)


def scores_of(counts, genes, times=20, present=None):
    """Scores of two samples: the second has these cells, so many times over, the first has none."""
    bulk = Pseudobulk(2, genes, np.ones(counts.shape[1], dtype=bool) if present is None else present)
    for _ in range(times):
        bulk.update(np.ones(len(counts), dtype=np.int64), sparse.csr_matrix(counts))
    bulk.end(np.array([0, 1]))
    return bulk.scores()


def test_there_are_four_programmes_for_the_tumour_and_three_against_it():
    sides = [programme.leaning for programme in load_programmes()]
    assert sides == ["pro"] * 4 + ["anti"] * 3


def test_human_lists_are_the_counterparts_of_the_mouse_lists():
    pairs = load_orthologs()
    for programme in load_programmes():
        human = pairs.translate(programme.mouse, "mouse", "human")
        expected = {gene for mouse, gene in zip(programme.mouse, human, strict=True) if not mouse.startswith("H2-")}
        listed = {gene for gene in programme.human if not gene.startswith("HLA-")}
        assert listed == expected - {"TREM3", ""}, programme.id
        assert len(set(programme.human)) == len(programme.human)


def test_a_score_is_the_mean_rank_in_the_pseudobulk():
    """Sums are 180, 20, 20, 0, 100, 0: ranks by hand, of six genes, ties at their mean."""
    scores = scores_of(COUNTS, {"a": np.array([0, 4]), "b": np.array([1, 5])})
    assert scores["a"].tolist()[1] == pytest.approx((5 + 4) / 2 / 5)
    assert scores["b"].tolist()[1] == pytest.approx((2.5 + 0.5) / 2 / 5)
    assert np.isnan(scores.loc[0]).all()


def test_a_score_is_mann_whitneys_statistic():
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.5, 2, 300), (40, 300)).astype(np.float32)
    inside = rng.choice(300, 12, replace=False)
    score = scores_of(counts, {"a": inside}, 1)["a"].iloc[1]
    total = counts.sum(axis=0)
    u = stats.mannwhitneyu(total[inside], np.delete(total, inside)).statistic
    assert score == pytest.approx((u + 12 * 11 / 2) / 12 / 299)


def test_unmeasured_genes_are_not_ranked():
    present = np.array([True, True, True, False, True, False])
    scores = scores_of(COUNTS, {"a": np.array([4])}, present=present)
    assert scores["a"].iloc[1] == pytest.approx(2 / 3)


def test_sums_do_not_depend_on_blocks():
    rng = np.random.default_rng(1)
    counts = sparse.csr_matrix(rng.poisson(0.3, (90, 50)).astype(np.float32))
    sample = rng.integers(0, 2, 90)
    at_once, in_parts = (Pseudobulk(2, {"a": np.arange(9)}, np.ones(50, dtype=bool)) for _ in range(2))
    at_once.update(sample, counts)
    for first in range(0, 90, 7):
        in_parts.update(sample[first : first + 7], counts[first : first + 7])
    for bulk in (at_once, in_parts):
        bulk.end(np.array([1, 0]))
    scores = [bulk.scores() for bulk in (at_once, in_parts)]
    assert scores[0].equals(scores[1])
    assert not scores[0].isna().any().any()


def test_fewer_than_thirty_neutrophils_have_no_score():
    genes = {"a": np.array([0])}
    assert np.isnan(scores_of(COUNTS, genes, 14)["a"].iloc[1])
    assert not np.isnan(scores_of(COUNTS, genes, 15)["a"].iloc[1])


def test_counts_are_let_go_of_when_a_sample_ends():
    bulk = Pseudobulk(10_000, {"a": np.array([0])}, np.ones(1_000, dtype=bool))
    counts = sparse.csr_matrix(np.ones((30, 1_000), dtype=np.float32))
    tracemalloc.start()
    for code in range(200):
        bulk.update(np.full(30, code), counts)
        bulk.end(np.array([code]))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 20 * 4 * 1_000  # of 200 sums
    assert bulk.scores()["a"].notna().sum() == 200


def test_a_programme_with_too_few_measured_genes_is_left_out():
    symbols = load_programmes()[2].mouse  # five genes
    vocabulary = GeneVocabulary((*symbols, "Other"), ("",) * 6, "mouse")
    three, two = (np.isin(np.arange(6), kept) for kept in ([0, 1, 2], [0, 1]))
    assert genes_of_programmes(vocabulary, "mouse", three)["immunosuppressive"].tolist() == [0, 1, 2]
    assert genes_of_programmes(vocabulary, "mouse", two)["immunosuppressive"].tolist() == []


def test_a_human_file_is_asked_by_the_names_of_the_bundle():
    human = load_programmes()[2].human
    of_human = GeneVocabulary(human, ("",) * 5, "human")
    both = GeneVocabulary(load_programmes()[2].mouse, ("",) * 5, "mouse", of_human)
    present = np.ones(5, dtype=bool)
    for vocabulary, species in ((of_human, "human"), (both, "human"), (both, "mouse"), (of_human, "mouse")):
        assert len(genes_of_programmes(vocabulary, species, present)["immunosuppressive"]) == 5


def test_polarity_is_pro_minus_anti_and_blank_where_a_programme_is():
    ids = [programme.id for programme in load_programmes()]
    scores = pd.DataFrame([[0.9, 0.7, 0.8, 0.6, 0.5, 0.4, 0.6], [0.9, 0.7, np.nan, 0.6, 0.5, 0.4, 0.6]], columns=ids)
    assert polarity(scores)[0] == pytest.approx(0.75 - 0.5)
    assert np.isnan(polarity(scores)[1])
