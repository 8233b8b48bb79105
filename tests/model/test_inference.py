from dataclasses import replace

import numpy as np
import pytest
import torch

from model.bundle import Bundle
from model.encoder import EncoderConfig
from model.inference import Predictor
from model.network import Network, NetworkConfig
from model.novelty import Novelty
from model.prior import leaf_prior, log_adjustment
from model.staging import Staging, StagingShape
from model.tree import LabelTree
from schema.calls import CallRules
from schema.confusion import Confusion
from schema.genes import GeneVocabulary
from schema.predictions import ALL_CELLS, STAGE_OUTPUTS
from schema.stages import StageScale


def new_staging(ontology):
    """Heads that read the first leaves of the composition."""
    roles = ontology.roles
    outside = ontology.below(*roles.outside_denominator)
    sizes = tuple((int((~out).sum()), 0) for out in (outside, outside | ontology.below(roles.neutrophil)))
    shape = StagingShape(heads=("composition",) * 2, n_folds=2, seen=(0, 5), sizes=sizes)
    staging = Staging(ontology, shape, n_hidden=8, n_latent=4, n_levels=6).eval()
    for head in (model for output in staging.outputs for model in output.models):
        head.weight[:3] = 1.0
        head.thresholds.copy_(torch.arange(5.0))
    return staging


@pytest.fixture
def bundle(ontology):
    torch.manual_seed(0)
    config = NetworkConfig(encoder=EncoderConfig(n_hidden=8, n_blocks=1, n_latent=4))
    network = Network(n_genes=3, n_leaves=len(ontology.leaves), config=config).eval()
    label_counts = torch.arange(len(ontology.nodes))
    network.cell_type_head.adjust(log_adjustment(label_counts, ontology), 1.0)
    return Bundle(
        network=network,
        config=config,
        ontology=ontology,
        scale=StageScale.load("mouse_carcinogenesis"),
        vocabulary=GeneVocabulary(("Cxcr2", "S100a8", "Epcam"), ("ENSMUSG00000026180", "", ""), "mouse"),
        temperatures=torch.tensor([1.0, 1.5, 2.0]),
        novelty=Novelty(n_nodes=len(ontology.nodes), n_latent=4, n_genes=3, n_types=len(ontology.nodes_at(2))),
        rules=CallRules(back_off=0.5, novelty=float("inf")),
        confusion=Confusion.empty(len(ontology.nodes_at(2))),
        state_confusion=Confusion.empty(len(ontology.neutrophil_states)),
        training_labels={"NEUT": 3},
        training_prior=leaf_prior(label_counts, ontology),
        metrics={},
        checks={},
        provenance={},
        staging=new_staging(ontology),
    )


COUNTS = np.array([[3, 0, 400], [0, 0, 0], [1, 2, 0], [0, 900, 7], [5, 5, 5]])
SAMPLE = [0, 0, 1, 1, 0]


def test_probabilities_are_those_of_the_network_and_its_temperatures(bundle, make_batch, ontology):
    found = Predictor(bundle, device="cpu", n_samples=2).predict(make_batch(COUNTS, sample=SAMPLE))
    with torch.inference_mode():
        latent, logits = bundle.network(make_batch(COUNTS))
    expected = LabelTree(ontology).leaf_probabilities(logits, bundle.temperatures).numpy()
    latent = latent.clone()
    expected[1], latent[1] = 0, 0  # a cell without counts is not asked about
    np.testing.assert_allclose(found.probabilities, expected, rtol=5e-3)  # the first layer is of half precision
    np.testing.assert_allclose(found.latent, latent.numpy(), atol=2e-3)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), [1, 0, 1, 1, 1], rtol=1e-5)


def test_the_order_of_the_genes_in_a_file_changes_nothing(bundle, make_batch):
    moved = np.zeros((5, 5))
    moved[:, [4, 0, 2]] = COUNTS
    batch = make_batch(moved, columns=[[1, -1, 2, -1, 0]], library_size=COUNTS.sum(1), sample=SAMPLE)
    found = Predictor(bundle, device="cpu", n_samples=2).predict(batch)
    expected = Predictor(bundle, device="cpu", n_samples=2).predict(make_batch(COUNTS, sample=SAMPLE))
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_stages_do_not_depend_on_how_cells_are_cut_and_leave_out_empty_cells(bundle, make_batch):
    whole, cut, counted = (Predictor(bundle, device="cpu", n_samples=3) for _ in range(3))
    whole.predict(make_batch(COUNTS, sample=SAMPLE))
    for rows in ([0, 1], [2], [3, 4]):
        cut.predict(make_batch(COUNTS[rows].reshape(-1, 3), sample=np.array(SAMPLE)[rows]))
    counted.predict(make_batch(np.delete(COUNTS, 1, axis=0), sample=np.delete(SAMPLE, 1)))
    stages = whole.stages()
    assert stages[ALL_CELLS].n_cells.tolist()[2] == 0
    assert stages[ALL_CELLS].n_cells.sum() <= 4
    for output in STAGE_OUTPUTS:
        expected = stages[output].at_least
        assert bool(((expected > 0) & (expected < 1)).all())
        torch.testing.assert_close(cut.stages()[output].at_least, expected, rtol=1e-5, atol=0)
        torch.testing.assert_close(counted.stages()[output].at_least, expected, rtol=1e-5, atol=0)


def test_cells_that_are_left_out_change_nothing_for_the_others(bundle, make_batch):
    left_out = np.array([False, False, True, True, False])
    some, kept = Predictor(bundle, device="cpu", n_samples=2), Predictor(bundle, device="cpu", n_samples=2)
    found = some.predict(make_batch(COUNTS, sample=SAMPLE), left_out)
    expected = kept.predict(make_batch(COUNTS[~left_out], sample=np.array(SAMPLE)[~left_out]))
    assert not found.probabilities[left_out].any()
    assert not found.latent[left_out].any()
    np.testing.assert_allclose(found.probabilities[~left_out], expected.probabilities, rtol=1e-6)
    for output in STAGE_OUTPUTS:
        pair = (one.stages()[output].at_least for one in (some, kept))
        torch.testing.assert_close(*pair, rtol=1e-6, atol=0)
    assert some.stages()[ALL_CELLS].n_cells[1] == 0


def test_a_block_in_which_all_are_left_out_is_all_zero(bundle, make_batch):
    found = Predictor(bundle, device="cpu", n_samples=2).predict(make_batch(COUNTS, sample=SAMPLE), np.ones(5, bool))
    assert found.latent.shape == (5, 4)
    assert not found.probabilities.any()


def test_cells_called_ambient_are_not_counted_for_the_stage(bundle, make_batch, ontology):
    """The last layer is made to call every cell ambient, whatever it holds."""
    ambient = ontology.leaves.tolist().index(ontology.index_by_id["AMBIENT"])
    with torch.no_grad():
        bundle.network.cell_type_head.members[0][-1].bias[ambient] += 50
    predictor = Predictor(bundle, device="cpu", n_samples=2)
    predictor.predict(make_batch(COUNTS, sample=SAMPLE))
    assert predictor.stages()[ALL_CELLS].n_cells.tolist() == [0, 0]


def test_a_bundle_without_stage_says_nothing(bundle, make_batch):
    predictor = Predictor(replace(bundle, staging=None), device="cpu", n_samples=2)
    predictor.predict(make_batch(COUNTS, sample=SAMPLE))
    assert predictor.stages() is None


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_device_with_little_memory_takes_fewer_cells_at_once_and_says_the_same(
    bundle, make_batch, monkeypatch, caplog, most
):
    whole, cut = (Predictor(bundle, device="cpu", n_samples=2) for _ in range(2))
    expected = [whole.predict(make_batch(COUNTS, sample=SAMPLE)) for _ in range(2)]
    compute, asked = cut._hidden, []

    def short_of_memory(batch):
        asked.append(batch.n_cells)
        if batch.n_cells > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return compute(batch)

    monkeypatch.setattr(cut, "_hidden", short_of_memory)
    found = [cut.predict(make_batch(COUNTS, sample=SAMPLE)) for _ in range(2)]
    for one, other in zip(found, expected, strict=True):
        for values, wanted in zip(one, other, strict=True):
            np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-7)
    assert [n for n in asked[len(asked) // 2 :] if n > most] == []  # the second block begins small
    assert caplog.messages[0] == "The device has too little memory for 4 cells at once: 2 are taken"
    for output in STAGE_OUTPUTS:
        assert cut.stages()[output].n_cells.tolist() == whole.stages()[output].n_cells.tolist()
        pair = (one.stages()[output].at_least for one in (cut, whole))
        torch.testing.assert_close(*pair, rtol=1e-5, atol=0)


def test_a_device_without_memory_for_one_cell_is_an_error(bundle, make_batch, monkeypatch):
    def short_of_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    predictor = Predictor(bundle, device="cpu", n_samples=2)
    monkeypatch.setattr(predictor, "_hidden", short_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        predictor.predict(make_batch(COUNTS, sample=SAMPLE))
