import numpy as np
import pytest

from datamodules.simulation.design import TissueDesign
from datamodules.simulation.tissue import build_tissue, gene_names, jitter_topics, shift_topics
from schema.genes import find_species


@pytest.fixture(scope="module")
def tissues(ontology):
    design = TissueDesign.load()
    return {
        species: build_tissue(np.random.default_rng(0), design, ontology, species, 2_000)
        for species in ("mouse", "human")
    }


@pytest.mark.parametrize("species", ["mouse", "human"])
def test_genes_are_unique_real_ones_first_and_say_their_species(tissues, ontology, species):
    genes = tissues[species].genes
    markers = {g for n in ontology.nodes for g in (n.markers_human if species == "human" else n.markers_mouse)}
    assert len(set(genes)) == len(genes) == 2_000
    assert markers <= set(genes)
    assert genes[-1].lower().startswith("simulated")
    assert find_species(genes) == species


def test_real_genes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="room for 3 real genes but got n_genes 2"):
        gene_names(("A", "B", "C"), "human", 2)


def test_every_topic_is_a_distribution_over_genes(tissues):
    topics = tissues["mouse"].topics
    assert topics.dtype == np.float32
    assert topics.min() >= 0
    np.testing.assert_allclose(topics.sum(axis=1), 1, rtol=1e-4)


@pytest.mark.parametrize(
    ("gene", "topic", "others"),
    [("Csf3r", "NEUT", ["FIB", "B"]), ("Cd79a", "B", ["NEUT", "MAL"]), ("Isg15", "N_ISG", ["N_INF", "N_MAT"])],
)
def test_a_marker_is_up_where_it_belongs(tissues, gene, topic, others):
    tissue = tissues["mouse"]
    level = tissue.topics[:, tissue.genes.index(gene)]
    assert all(level[tissue.index[topic]] > 10 * level[tissue.index[other]] for other in others)


@pytest.mark.parametrize(("other", "share"), [("T_CD4", 0.05), ("FIB", 1 - 0.95**3)])
def test_the_background_of_a_type_differs_from_its_parent_in_5_percent_of_genes(tissues, other, share):
    tissue = tissues["mouse"]
    pair = np.log(tissue.topics[[tissue.index["T_CD8"], tissue.index[other]], 500:].astype(np.float64))
    change = pair[0] - pair[1]
    differs = np.abs(change - np.median(change)) > 1e-4
    assert differs.mean() == pytest.approx(share, abs=0.02)


def test_a_shift_is_one_factor_per_gene_and_jitter_one_per_topic_and_gene(tissues):
    topics = tissues["mouse"].topics[:5]
    background = slice(500, None)
    shifted = shift_topics(np.random.default_rng(0), topics, 0.3)
    factors = np.log(shifted[:, background] / topics[:, background])
    factors -= factors.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(factors, np.broadcast_to(factors[0], factors.shape), atol=1e-4)
    assert factors.std() == pytest.approx(0.3, rel=0.1)
    jittered = jitter_topics(np.random.default_rng(0), topics, 0.3)
    assert abs(np.corrcoef(np.log(jittered[:2, background] / topics[:2, background]))[0, 1]) < 0.1
    np.testing.assert_allclose(jittered.sum(axis=1), 1, rtol=1e-4)
