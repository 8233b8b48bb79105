"""Staging on cells whose stage acts as written here: through composition, through the look of one type, or not."""

from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
import torch

from model.encoder import EncoderConfig
from model.network import Network, NetworkConfig
from model.preprocess import to_dense
from model.sample_sums import SampleSums
from model.stage_features import BOTH, COMPOSITION, LOOKS, StageFeatures
from model.stage_heads import ATTENTION
from model.stage_look import StagedSamples
from model.staging import PredictedCells, Staging, StagingShape
from model.staging_fit import fit_stage_temperature, fit_staging
from schema.predictions import ALL_CELLS, STAGE_OUTPUTS, WITHOUT_NEUTROPHILS

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


def said(fitted, network, make_batch, through, seed=1, cut=N_CELLS):
    """Predict new samples, cell by cell blocks of a size; return stages and what is said by output."""
    parts = list(drawn(through, seed))
    state = fitted.staging.empty(N_SAMPLES)
    for number, (counts, _) in enumerate(parts):
        for start in range(0, N_CELLS, cut):
            part = counts[start : start + cut]
            rows = number * N_CELLS + start + np.arange(len(part))
            batch = make_batch(part, sample=[number] * len(part), row=rows)
            hidden = hidden_of(network, batch)
            probabilities = network.cell_type_head(hidden).softmax(dim=1)
            about = (batch.sample, batch.row, batch.library_size)
            state = fitted.staging.add(state, PredictedCells(*about, hidden, hidden, probabilities))
    return np.array([stage for _, stage in parts]) + 1, fitted.staging(state)


def hidden_of(network, batch):
    return network.encoder.hidden(to_dense(batch), batch.present, batch.file)


def test_composition_wins_where_stage_is_composition_and_neutrophils_are_seen_by_one_output(
    fit, network, ontology, make_batch
):
    fitted = fit("neutrophils")
    assert fitted.staging.shape.heads[0] in {COMPOSITION, BOTH}
    assert fitted.support[ALL_CELLS].is_supported
    assert fitted.support[WITHOUT_NEUTROPHILS].reason.startswith("not better than chance")
    assert fitted.support[ALL_CELLS].kappa > 0.7 > 0.3 > fitted.support[WITHOUT_NEUTROPHILS].kappa
    level, found = said(fitted, network, make_batch, "neutrophils")
    error = {output: float(np.abs(of.at_least.sum(dim=1).numpy() - level).mean()) for output, of in found.items()}
    assert error[ALL_CELLS] < 0.3
    assert error[WITHOUT_NEUTROPHILS] > 0.5
    pull = found[ALL_CELLS].log_odds[level == 3].mean(dim=0)
    types = [ontology.nodes[node].id for node in ontology.nodes_at(2)]
    assert types[int(pull.argmax())] == "NEUT"
    assert not bool(found[WITHOUT_NEUTROPHILS].log_odds[:, types.index("NEUT")].any())


def test_the_look_of_a_type_wins_where_stage_is_there(fit, network, ontology, make_batch):
    fitted = fit("look of MAC")
    assert set(fitted.staging.shape.heads) <= {LOOKS, BOTH}
    assert all(support.is_supported for support in fitted.support.values())
    level, found = said(fitted, network, make_batch, "look of MAC")
    for output in STAGE_OUTPUTS:
        assert float(np.abs(found[output].at_least.sum(dim=1).numpy() - level).mean()) < 0.4
    types = [ontology.nodes[node].id for node in ontology.nodes_at(2)]
    assert types[int(found[ALL_CELLS].log_odds[level == 3].mean(dim=0).argmax())] == "MAC"


def test_without_signal_nothing_is_claimed(fit):
    fitted = fit("nothing")
    assert {support.reason.split(" (")[0] for support in fitted.support.values()} == {
        "not better than chance on held-out donors"
    }


def test_a_stage_within_a_study_is_not_claimed(fit):
    study = (np.arange(N_SAMPLES) % 3 == 2).astype(np.int64)
    fitted = fit("look of MAC", study=study)
    for support in fitted.support.values():
        assert support.reason.startswith("stage and study cannot be told apart")


def test_the_table_names_every_head_output_and_probe(fit):
    rows = fit("look of MAC", study=np.arange(N_SAMPLES) // 3 % 2).rows
    assert {(row["output"], row["head"]) for row in rows} == {
        *((output, head) for output in STAGE_OUTPUTS for head in (COMPOSITION, LOOKS, BOTH, ATTENTION)),
        *(("probe", name) for name in ("depth", "study", "depth within studies")),
    }
    for output in STAGE_OUTPUTS:
        rps = {row["head"]: row["rps"] for row in rows if row["output"] == output}
        (chosen,) = [row["head"] for row in rows if row["output"] == output and row["chosen"]]
        assert chosen == min(rps, key=rps.get)
        assert chosen in {LOOKS, BOTH}


def cells_by_sample(found, number):
    """Return the heaviest cells of a sample: rows, and weights with their mean."""
    mine = found.cells.sample == number
    return found.cells.row[mine].tolist(), found.cells.weight[mine], found.cells.mean[mine]


@pytest.mark.parametrize("stage", [0, 2])
def test_the_cells_of_most_weight_are_those_whose_look_says_most(fit, network, ontology, make_batch, stage):
    """Every cell of a sample is worked out anew: what the score loses when its look becomes that of the mean cell."""
    fitted = fit("look of MAC")
    _, found = said(fitted, network, make_batch, "look of MAC")
    heads, features = fitted.staging.output(ALL_CELLS), fitted.staging.features
    number, (counts, _) = next((i, part) for i, part in enumerate(drawn("look of MAC", 1)) if part[1] == stage)
    hidden = hidden_of(network, make_batch(counts))
    cell_type = features.called_type(network.cell_type_head(hidden).softmax(dim=1))
    sums = SampleSums.empty(1, n_leaves=len(ontology.leaves), n_types=features.n_types, n_values=4)
    types = features.of_type.shape[1]
    expected = torch.zeros(N_CELLS)
    for cell in range(N_CELLS):
        one = sums._replace(values=torch.zeros(1, types, 4), n_of_type=torch.zeros(1, types))
        if not bool(features.counted_type[cell_type[cell]]):
            continue
        place = int(cell_type[cell])
        one.n_of_type[0] = torch.bincount(cell_type, minlength=types)
        one.values[0, place] = features.values(hidden[cell : cell + 1], cell_type[cell : cell + 1])[0]
        none = one._replace(values=torch.zeros(1, types, 4))
        for head in heads.models:
            with_it, without_it = (
                torch.cat(features.blocks(of, ALL_CELLS).read_by(heads.head), dim=1) for of in (one, none)
            )
            expected[cell] += float((head(with_it) - head(without_it))[0, 0]) / len(heads.models)
    rows, weight, mean = cells_by_sample(found[ALL_CELLS], number)
    assert bool((weight[0] > 0) == (stage == 2))
    heaviest = expected.abs().argsort(descending=True)[:3]
    assert rows == (number * N_CELLS + heaviest).tolist()
    torch.testing.assert_close(weight, expected[heaviest], rtol=1e-3, atol=1e-5)
    of_type = cell_type == cell_type[heaviest[0]]
    torch.testing.assert_close(mean[0], expected[of_type].mean(), rtol=1e-3, atol=1e-5)


def test_cells_are_named_alike_however_they_are_cut(fit, network, make_batch):
    fitted = fit("look of MAC")
    _, whole = said(fitted, network, make_batch, "look of MAC")
    _, cut = said(fitted, network, make_batch, "look of MAC", cut=7)
    for output in STAGE_OUTPUTS:
        assert cut[output].cells.row.tolist() == whole[output].cells.row.tolist()
        assert len(whole[output].cells.row) == 3 * N_SAMPLES


def test_levels_that_were_never_seen_get_no_probability(fit, network, make_batch):
    _, found = said(fit("neutrophils"), network, make_batch, "neutrophils")
    assert bool((found[ALL_CELLS].at_least[:, 0] == 1).all())
    assert not bool(found[ALL_CELLS].at_least[:, 3:].any())


def test_what_is_said_does_not_depend_on_how_cells_are_cut(fit, network, make_batch):
    fitted = fit("look of MAC")
    _, whole = said(fitted, network, make_batch, "look of MAC")
    _, cut = said(fitted, network, make_batch, "look of MAC", cut=7)
    for output in STAGE_OUTPUTS:
        torch.testing.assert_close(cut[output].at_least, whole[output].at_least, rtol=1e-4, atol=1e-5)


def test_one_stage_or_one_donor_teaches_no_head(fit):
    assert fit("nothing", n_stages=1) is None


def test_heads_survive_a_state_dict_and_a_shape_its_dict(fit, ontology):
    fitted = fit("look of MAC")
    shape = StagingShape.from_dict(asdict(fitted.staging.shape))
    assert shape == fitted.staging.shape
    again = Staging(ontology, shape, n_hidden=N_GENES, n_latent=N_GENES, n_levels=6)
    again.load_state_dict(fitted.staging.state_dict())
    state = fitted.staging.empty(2)
    state.sums.leaves[:, :5], state.sums.n_of_type[:] = 3.0, 3.0
    torch.testing.assert_close(again(state)[ALL_CELLS].at_least, fitted.staging(state)[ALL_CELLS].at_least)
    with pytest.raises(ValueError, match="known heads"):
        StagingShape(heads=("looks", "guess"), n_folds=5, seen=(0, 2), sizes=((1, 1), (1, 1)))
    with pytest.raises(ValueError, match="known heads"):
        StagingShape(heads=("looks",), n_folds=5, seen=(0, 2), sizes=((1, 1), (1, 1)))
    with pytest.raises(ValueError, match="levels below 3"):
        Staging(ontology, shape, n_hidden=N_GENES, n_latent=N_GENES, n_levels=3)


def test_attention_reads_pools_as_it_was_taught(fit, network, ontology, make_batch, monkeypatch):
    monkeypatch.setattr("model.stage_contest.HEADS", (ATTENTION,))
    fitted = fit("neutrophils", heads=ATTENTION)
    assert fitted.staging.shape.heads == (ATTENTION, ATTENTION)
    level, whole = said(fitted, network, make_batch, "neutrophils")
    _, cut = said(fitted, network, make_batch, "neutrophils", cut=7)
    assert float(np.abs(whole[ALL_CELLS].at_least.sum(dim=1).numpy() - level).mean()) < 0.5
    torch.testing.assert_close(cut[ALL_CELLS].at_least, whole[ALL_CELLS].at_least, rtol=1e-4, atol=1e-5)
    for output in STAGE_OUTPUTS:
        torch.testing.assert_close(whole[output].attention.sum(dim=1), torch.ones(N_SAMPLES), rtol=1e-4, atol=1e-5)
    types = [ontology.nodes[node].id for node in ontology.nodes_at(2)]
    assert bool(whole[ALL_CELLS].attention[:, types.index("NEUT")].all())
    assert not bool(whole[WITHOUT_NEUTROPHILS].attention[:, types.index("NEUT")].any())
    assert types[int(whole[ALL_CELLS].log_odds[level == 3].mean(dim=0).argmax())] == "NEUT"


def test_the_cells_of_most_attention_are_named_with_their_share(fit, network, make_batch, monkeypatch):
    monkeypatch.setattr("model.stage_contest.HEADS", (ATTENTION,))
    fitted = fit("neutrophils", heads=ATTENTION)
    _, found = said(fitted, network, make_batch, "neutrophils")
    counts, _ = next(drawn("neutrophils", 1))
    hidden = hidden_of(network, make_batch(counts))
    cell_type = fitted.staging.features.called_type(network.cell_type_head(hidden).softmax(dim=1))
    for output in STAGE_OUTPUTS:
        seen = fitted.staging.features.seen_types(output)[cell_type]
        scores = torch.stack([head.attention_scores(hidden) for head in fitted.staging.output(output).models])
        share = torch.where(seen, scores, -torch.inf).softmax(dim=1).mean(dim=0)
        heaviest = scores.mean(dim=0).where(seen, torch.tensor(-torch.inf)).argsort(descending=True)[:3]
        rows, weight, mean = cells_by_sample(found[output], 0)
        assert sorted(rows) == sorted(heaviest.tolist())
        torch.testing.assert_close(weight, share[rows], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(mean, torch.full((3,), 1 / int(seen.sum())))
        assert found[output].n_cells[0] == int(seen.sum())


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
    found = features.blocks(sums, ALL_CELLS).composition[0]
    counted = [name for name in at if bool(features.counted[at[name]])]
    assert "AMBIENT" not in counted
    logs = np.log([{"MAL": 0.75, "N_MAT": 0.25}.get(name, 0.0) + 0.005 for name in counted])
    np.testing.assert_allclose(found, logs - logs.mean(), rtol=1e-4)
    without = features.blocks(sums, WITHOUT_NEUTROPHILS).composition[0]
    assert len(without) == len(counted) - sum(name.startswith("N_") for name in counted)
