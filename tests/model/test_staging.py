"""Staging on cells whose stage acts as written here: through composition, through the look of one type, or not."""

from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
import torch

from model.encoder import EncoderConfig
from model.network import Network, NetworkConfig
from model.sample_sums import SampleSums
from model.stage_features import StageFeatures
from model.stage_heads import ATTENTION, BOTH, COMPOSITION, LOOKS
from model.staging import ALL, OUTPUTS, WITHOUT, Staging, StagingShape
from model.staging_fit import StagedSamples, fit_stage_temperature, fit_staging

N_GENES, N_SAMPLES, N_CELLS = 12, 24, 60
TYPES = ("NEUT", "MAC", "MAL", "AMBIENT")


@pytest.fixture(scope="module")
def network(ontology):
    """A network whose hidden layer passes the genes on and whose head calls gene i of the first four type i."""
    torch.manual_seed(0)
    config = NetworkConfig(encoder=EncoderConfig(n_hidden=N_GENES, n_blocks=0, n_latent=N_GENES, dropout=0.0))
    network = Network(n_genes=N_GENES, n_leaves=len(ontology.leaves), config=config).eval()
    network.requires_grad_(requires_grad=False)
    network.encoder.first.weight.copy_(torch.eye(N_GENES))
    network.encoder.first.bias.zero_()
    network.encoder.members[0] = torch.nn.Identity()
    head = network.cell_type_head.members[0] = torch.nn.Linear(N_GENES, len(ontology.leaves))
    head.requires_grad_(requires_grad=False)
    head.weight.zero_()
    head.bias.fill_(-20)
    for gene, name in enumerate(TYPES):
        leaf = ontology.leaves.tolist().index(ontology.index_by_id[{"NEUT": "N_MAT"}.get(name, name)])
        head.weight[leaf, gene], head.bias[leaf] = 5.0, 0.0
    return network


def drawn(through, seed=0, n_stages=3):
    """Return for each sample its counts `[n_cells, n_genes]` and its stage."""
    rng = np.random.default_rng(seed)
    for number in range(N_SAMPLES):
        stage = number % n_stages
        share = np.array([0.2, 0.3, 0.4, 0.1])
        if through == "neutrophils":
            share = np.array([0.05 + 0.3 * stage, 0.3, 0.4, 0.1])
        kind = rng.choice(4, size=N_CELLS, p=share / share.sum())
        rate = np.ones((N_CELLS, N_GENES))
        rate[np.arange(N_CELLS), kind] = 200
        rate[:, :4][np.arange(4)[None] != kind[:, None]] = 0
        if through == "look of MAC":
            rate[kind == 1, 6] = 1 + 6 * stage
        yield rng.poisson(rate), stage


FITTED = {}
"""What was fitted, by what it was fitted on, so that tests share it."""


@pytest.fixture
def fit(network, ontology, make_batch):
    """Return a function that fits on drawn samples; a second time it returns what it found the first."""

    def run(through, *, study=None, n_stages=3, heads=None):
        key = through, None if study is None else tuple(study), n_stages, heads
        if key not in FITTED:
            FITTED[key] = run_once(through, study, n_stages)
        return FITTED[key]

    def run_once(through, study, n_stages):
        parts = list(drawn(through, 0, n_stages))
        everything = [make_batch(counts, sample=[number] * N_CELLS) for number, (counts, _) in enumerate(parts)]
        samples = StagedSamples(
            sample=np.arange(N_SAMPLES),
            level=np.array([stage for _, stage in parts]) + 1,
            donor=np.arange(N_SAMPLES),
            study=np.zeros(N_SAMPLES, dtype=np.int64) if study is None else study,
            n_cells=np.full(N_SAMPLES, N_CELLS),
        )
        temperatures = torch.ones(int(ontology.levels.max()))
        batches = partial(lambda cells, _: iter(cells), everything)
        return fit_staging(network, temperatures, ontology, samples, batches=batches, n_levels=6, seed=0)

    return run


def said(fitted, network, ontology, make_batch, through, seed=1, cut=N_CELLS):
    """Predict new samples, cell by cell blocks of a size; return stages and what is said by output."""
    parts = list(drawn(through, seed))
    state = fitted.staging.empty(N_SAMPLES, len(ontology.leaves))
    for number, (counts, _) in enumerate(parts):
        for start in range(0, N_CELLS, cut):
            batch = make_batch(counts[start : start + cut], sample=[number] * len(counts[start : start + cut]))
            hidden = network.encoder.hidden(batch_dense(batch), batch.present, batch.file)
            probabilities = network.cell_type_head(hidden).softmax(dim=1)
            state = fitted.staging.add(state, batch.sample, batch.library_size, hidden, hidden, probabilities)
    return np.array([stage for _, stage in parts]) + 1, fitted.staging(state)


def batch_dense(batch):
    from model.preprocess import to_dense

    return to_dense(batch)


def test_composition_wins_where_stage_is_composition_and_neutrophils_are_seen_by_one_output(
    fit, network, ontology, make_batch
):
    fitted = fit("neutrophils")
    assert fitted.staging.shape.head in {COMPOSITION, BOTH}
    assert fitted.support.is_supported
    level, found = said(fitted, network, ontology, make_batch, "neutrophils")
    error = {output: float(np.abs(of.at_least.sum(dim=1).numpy() - level).mean()) for output, of in found.items()}
    assert error[ALL] < 0.3
    assert error[WITHOUT] > 0.5
    pull = found[ALL].pull.mean(dim=0) * 0 + found[ALL].pull[level == 3].mean(dim=0)
    types = [ontology.nodes[node].id for node in ontology.nodes_at(2)]
    assert types[int(pull.argmax())] == "NEUT"
    assert not bool(found[WITHOUT].pull[:, types.index("NEUT")].any())


def test_the_look_of_a_type_wins_where_stage_is_there(fit, network, ontology, make_batch):
    fitted = fit("look of MAC")
    assert fitted.staging.shape.head in {LOOKS, BOTH}
    level, found = said(fitted, network, ontology, make_batch, "look of MAC")
    for output in OUTPUTS:
        assert float(np.abs(found[output].at_least.sum(dim=1).numpy() - level).mean()) < 0.4
    types = [ontology.nodes[node].id for node in ontology.nodes_at(2)]
    assert types[int(found[ALL].pull[level == 3].mean(dim=0).argmax())] == "MAC"


def test_without_signal_nothing_is_claimed(fit):
    fitted = fit("nothing")
    assert not fitted.support.is_supported
    assert "not better than chance" in fitted.support.reason


def test_a_stage_within_a_study_is_not_claimed(fit):
    study = (np.arange(N_SAMPLES) % 3 == 2).astype(np.int64)
    fitted = fit("look of MAC", study=study)
    assert fitted.support.reason.startswith("stage and study cannot be told apart")


def test_the_table_names_every_head_output_and_probe(fit):
    rows = fit("look of MAC", study=np.arange(N_SAMPLES) // 3 % 2).rows
    assert {(row["output"], row["head"]) for row in rows} == {
        *((output, head) for output in OUTPUTS for head in (COMPOSITION, LOOKS, BOTH, ATTENTION)),
        *(("probe", name) for name in ("depth", "study")),
    }
    chosen = [row["head"] for row in rows if row["chosen"]]
    assert len(chosen) == 2
    assert set(chosen) < {LOOKS, BOTH}


def test_levels_that_were_never_seen_get_no_probability(fit, network, ontology, make_batch):
    _, found = said(fit("neutrophils"), network, ontology, make_batch, "neutrophils")
    assert bool((found[ALL].at_least[:, 0] == 1).all())
    assert not bool(found[ALL].at_least[:, 3:].any())


def test_what_is_said_does_not_depend_on_how_cells_are_cut(fit, network, ontology, make_batch):
    fitted = fit("look of MAC")
    _, whole = said(fitted, network, ontology, make_batch, "look of MAC")
    _, cut = said(fitted, network, ontology, make_batch, "look of MAC", cut=7)
    for output in OUTPUTS:
        torch.testing.assert_close(cut[output].at_least, whole[output].at_least, rtol=1e-4, atol=1e-5)


def test_one_stage_or_one_donor_teaches_no_head(fit):
    assert fit("nothing", n_stages=1) is None


def test_heads_survive_a_state_dict_and_a_shape_its_dict(fit, ontology):
    fitted = fit("look of MAC")
    shape = StagingShape.from_dict(asdict(fitted.staging.shape))
    assert shape == fitted.staging.shape
    again = Staging(ontology, shape, n_hidden=N_GENES, n_latent=N_GENES, n_levels=6)
    again.load_state_dict(fitted.staging.state_dict())
    state = fitted.staging.empty(2, len(ontology.leaves))
    state.sums.leaves[:, :5], state.sums.n_of_type[:] = 3.0, 3.0
    torch.testing.assert_close(again(state)[ALL].at_least, fitted.staging(state)[ALL].at_least)
    with pytest.raises(ValueError, match="a known head"):
        StagingShape(head="guess", n_folds=5, seen=(0, 2), sizes=((1, 1), (1, 1)))
    with pytest.raises(ValueError, match="levels below 3"):
        Staging(ontology, shape, n_hidden=N_GENES, n_latent=N_GENES, n_levels=3)


def test_attention_reads_pools_as_it_was_taught(fit, network, ontology, make_batch, monkeypatch):
    monkeypatch.setattr("model.staging_fit.HEADS", (ATTENTION,))
    fitted = fit("neutrophils", heads=ATTENTION)
    assert fitted.staging.shape.head == ATTENTION
    level, whole = said(fitted, network, ontology, make_batch, "neutrophils")
    _, cut = said(fitted, network, ontology, make_batch, "neutrophils", cut=7)
    assert float(np.abs(whole[ALL].at_least.sum(dim=1).numpy() - level).mean()) < 0.5
    torch.testing.assert_close(cut[ALL].at_least, whole[ALL].at_least, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole[ALL].pull.sum(dim=1), torch.ones(N_SAMPLES), rtol=1e-4, atol=1e-5)


def test_the_temperature_that_made_the_levels_is_found():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4000, 1, generator=generator) - torch.tensor([-1.0, 1.0])
    level = (torch.rand(4000, 1, generator=generator) < torch.sigmoid(logits / 2)).sum(dim=1)
    assert fit_stage_temperature(logits, level) == pytest.approx(2.0, rel=0.1)


def test_sums_by_hand():
    sums = SampleSums.empty(2, n_leaves=2, n_types=3, n_values=1)
    sums.add(
        torch.tensor([0, 1, 0]),
        torch.tensor([np.e, 1.0, np.e**2], dtype=torch.float32),
        torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]),
        torch.tensor([2, 0, 2]),
        torch.tensor([[1.0], [5.0], [2.0]]),
    )
    assert sums.n_cells.tolist() == [2, 1]
    assert sums.log_counts.tolist() == pytest.approx([3.0, 0.0])
    assert sums.leaves.tolist() == [[1, 1], [0.5, 0.5]]
    assert sums.n_of_type.tolist() == [[0, 0, 2], [1, 0, 0]]
    assert sums.values[:, :, 0].tolist() == [[0, 0, 3], [5, 0, 0]]


def test_composition_is_a_centred_log_ratio_of_counted_leaves(ontology):
    features = StageFeatures(ontology, 3)
    sums = SampleSums.empty(1, n_leaves=len(ontology.leaves), n_types=features.n_types, n_values=1)
    at = {ontology.nodes[node].id: place for place, node in enumerate(ontology.leaves)}
    for name, mass in {"MAL": 60.0, "N_MAT": 20.0, "AMBIENT": 100.0}.items():
        sums.leaves[0, at[name]] = mass
    found = features.composition(sums, without_neutrophils=False)[0]
    counted = [name for name in at if bool(features.counted[at[name]])]
    assert "AMBIENT" not in counted
    logs = np.log([{"MAL": 0.75, "N_MAT": 0.25}.get(name, 0.0) + 0.005 for name in counted])
    np.testing.assert_allclose(found, logs - logs.mean(), rtol=1e-4)
    without = features.composition(sums, without_neutrophils=True)[0]
    assert len(without) == len(counted) - sum(name.startswith("N_") for name in counted)
