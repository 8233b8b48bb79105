import numpy as np
import pytest
import torch

from model.augment import AugmentationConfig
from model.encoder import EncoderConfig
from model.losses import hierarchical_cross_entropy
from model.made_labels import drawn_with_made, implied_labels
from model.network import Network, NetworkConfig
from model.prior import log_adjustment
from model.training import OptimisationConfig, TrainingModule, step_seed, usual_learning_rate
from schema.batch import PADDING
from schema.errors import UsageError

OFF = dict.fromkeys(("thin_share", "doublet_share", "ambient_share", "mixing_share", "donor_share", "panel_share"), 0.0)


@pytest.fixture
def make_module(ontology):
    def make(*, dropout=0.0, seed=0, n_members=1, drawn_counts=None, augmentation=None, **options):
        torch.manual_seed(0)
        config = NetworkConfig(
            encoder=EncoderConfig(n_members=n_members, n_hidden=8, n_blocks=1, n_latent=4, dropout=dropout),
        )
        network = Network(n_genes=6, n_leaves=len(ontology.leaves), config=config)
        module = TrainingModule(
            network,
            ontology,
            OptimisationConfig(**options),
            AugmentationConfig(**(OFF | (augmentation or {}))),
            seed=seed,
            batch_size=128,
            n_steps=6,
            label_counts=torch.arange(len(ontology.nodes)),
            drawn_counts=drawn_counts,
        )
        module.logged = {}
        module.log = lambda name, value, **_: module.logged.__setitem__(name, value)
        module.log_dict = lambda values, **_: module.logged.update(values)
        return module

    return make


@pytest.mark.parametrize("option", [{"logit_adjustment": -0.5}, {"learning_rate": 0.0}])
def test_a_wrong_option_is_refused(option):
    with pytest.raises(UsageError, match="learning_rate > 0"):
        OptimisationConfig(**option)


def test_the_network_gets_the_prior_of_the_training_labels(make_module, ontology):
    head = make_module(logit_adjustment=0.5).network.cell_type_head
    assert float(head.strength) == 0.5
    assert torch.equal(head.log_prior, log_adjustment(torch.arange(len(ontology.nodes)), ontology))
    assert float(make_module(logit_adjustment=0.0).network.cell_type_head.strength) == 0.0


def test_the_loss_is_under_the_prior_of_what_is_drawn_and_the_network_under_that_of_the_cells(
    make_module, make_batch, ontology
):
    cells = make_batch(torch.arange(24).reshape(4, 6).numpy(), cell_type=[1, 5, 9, -1])
    drawn_counts = torch.ones(len(ontology.nodes))
    plain, balanced = make_module().eval(), make_module(drawn_counts=drawn_counts).eval()
    logits = plain.network(cells).logits.detach()
    assert torch.equal(balanced.network(cells).logits, logits)
    shift = log_adjustment(drawn_counts, ontology) - log_adjustment(torch.arange(len(ontology.nodes)), ontology)
    expected = hierarchical_cross_entropy(logits + shift, cells.cell_type, plain.tree, 0.3)
    loss = float(balanced.training_step(cells, 0).detach())
    assert loss == pytest.approx(float(expected), rel=1e-5)
    assert abs(loss - float(plain.training_step(cells, 0).detach())) > 1e-3


def test_made_droplets_are_in_the_prior_of_the_loss_and_not_in_that_of_the_network(make_module, ontology):
    counts = torch.arange(len(ontology.nodes))
    plain, module = make_module(), make_module(augmentation={"doublet_share": 0.2, "ambient_share": 0.1})
    config = module.augmentation.config
    assert torch.equal(implied_labels(counts, ontology, config), counts.double())
    assert torch.equal(module.network.cell_type_head.log_prior, log_adjustment(counts, ontology))
    assert not bool(plain.drawn_shift.any())
    expected = log_adjustment(drawn_with_made(counts, ontology, config), ontology) - log_adjustment(counts, ontology)
    assert torch.equal(module.drawn_shift, expected)
    leaf = {ontology.nodes[node].id: i for i, node in enumerate(ontology.leaves)}
    assert float(module.drawn_shift[leaf["DBL_OTHER"]]) > 0.5
    assert float(module.drawn_shift[leaf["NK"]]) < -0.25


def test_made_droplets_do_not_count_in_the_metrics_of_training_cells(make_module, make_batch, ontology):
    label = [ontology.index_by_id[name] for name in ("MAL", "N_ANG") * 32]
    cells = make_batch(np.random.default_rng(0).poisson(9, (64, 6)), cell_type=label)
    module = make_module(augmentation={"doublet_share": 0.5})
    module.training_step(cells, 0)
    assert int(module.train_metrics.by_type.counts.sum()) == 32


def validated(module, batches):
    """Let a module see validation batches."""
    module.eval()
    module.on_validation_epoch_start()
    with torch.no_grad():
        for index, batch in enumerate(batches):
            module.validation_step(batch, index)


@pytest.fixture
def validation_cells(make_batch):
    """Return a function that makes a batch of some of 8 cells, filled up with padding."""
    counts = np.arange(48).reshape(8, 6) % 7 + np.eye(8, 6) * 300
    label, sample = [1, 5, -1, 9, 12, 1, 30, -1], [0, 0, 0, 1, 1, 1, 2, 2]

    def make(rows, n_padding=0):
        pad = [0] * n_padding
        return make_batch(
            np.vstack([counts[rows].reshape(-1, 6), np.zeros((n_padding, 6))]),
            cell_type=np.array([label[r] for r in rows] + [-1] * n_padding, dtype=np.int64),
            sample=np.array([sample[r] for r in rows] + pad, dtype=np.int64),
            row=np.array([100 + r for r in rows] + [PADDING] * n_padding, dtype=np.int64),
        )

    return make


def test_padding_counts_nowhere_in_validation(make_module, validation_cells):
    plain, padded = make_module(), make_module()
    validated(plain, [validation_cells([0, 1, 2, 3]), validation_cells([4, 5]), validation_cells([6, 7])])
    validated(
        padded,
        [
            validation_cells([0, 1, 2, 3]),
            validation_cells([4, 5], n_padding=2),
            validation_cells([6, 7], n_padding=2),
            validation_cells([], n_padding=4),
        ],
    )
    assert torch.equal(padded.cell_metrics.by_type.counts, plain.cell_metrics.by_type.counts)
    assert int(padded.cell_metrics.by_type.counts.sum()) > 0
    assert int(padded.val_loss.n_cells) == int(plain.val_loss.n_cells) == 6
    torch.testing.assert_close(padded.val_loss.compute(), plain.val_loss.compute(), rtol=1e-6, atol=0)


def test_the_validation_loss_is_the_mean_over_labelled_cells(make_module, validation_cells):
    """However the cells are cut into batches, those without labels among them."""
    means = []
    for cut in ([[0, 1, 2, 3, 4, 5, 6, 7]], [[2], [0, 1], [3, 4, 5, 6], [7]], [[0], [1, 2, 7], [3, 4, 5, 6]]):
        module = make_module()
        validated(module, [validation_cells(rows, n_padding=len(rows) % 3) for rows in cut])
        module.on_validation_epoch_end()
        means.append(float(module.logged["val/cell_type/loss"]))
    assert means[1:] == pytest.approx(means[:1] * 2, rel=1e-5)
    single = [make_module() for _ in range(6)]
    losses = []
    for module, row in zip(single, [0, 1, 3, 4, 5, 6], strict=True):
        validated(module, [validation_cells([row])])
        losses.append(float(module.val_loss.compute()))
    assert means[0] == pytest.approx(np.mean(losses), rel=1e-5)


def test_two_ranks_come_to_what_one_comes_to(make_module, validation_cells):
    whole, left, right = make_module(), make_module(), make_module()
    validated(whole, [validation_cells([0, 1, 2, 3]), validation_cells([4, 5, 6, 7])])
    validated(left, [validation_cells([0, 1, 2]), validation_cells([6, 7], n_padding=1)])
    validated(right, [validation_cells([3, 4, 5]), validation_cells([], n_padding=3)])
    for name in ("by_type", "by_leaf"):
        parts = [getattr(module.cell_metrics, name).counts for module in (left, right)]
        assert torch.equal(parts[0] + parts[1], getattr(whole.cell_metrics, name).counts)
    total, n_cells = (sum(getattr(m.val_loss, name) for m in (left, right)) for name in ("total", "n_cells"))
    assert float(total / n_cells) == pytest.approx(float(whole.val_loss.compute()), rel=1e-5)


def test_the_seed_of_a_step_depends_on_seed_step_and_rank():
    seeds = {step_seed(seed, step, rank) for seed in range(5) for step in range(50) for rank in range(4)}
    assert len(seeds) == 1000
    assert step_seed(3, 7, 1) == int(np.random.SeedSequence([3, 7, 1]).generate_state(1, np.uint64)[0])
    torch.manual_seed(max(seeds))


def test_dropout_and_augmentation_of_a_step_do_not_depend_on_what_was_drawn_before(
    make_module, make_batch, monkeypatch
):
    cells = make_batch(np.full((4, 6), 300), cell_type=[1, 5, 9, 3])
    everything = {"thin_share": 0.5, "panel_share": 0.5, "doublet_share": 0.25}

    def loss(step, *, seed=0, rank=0, draws=0):
        module = make_module(dropout=0.5, augmentation=everything, seed=seed).train()
        monkeypatch.setattr(TrainingModule, "global_step", step)
        monkeypatch.setattr(TrainingModule, "global_rank", rank)
        torch.rand(draws)
        module.on_train_batch_start(cells, 0)
        return float(module.training_step(cells, 0).detach())

    assert loss(3) == loss(3, draws=1000)
    assert len({loss(3), loss(4), loss(3, seed=1), loss(3, rank=1)}) == 4


def test_the_learning_rate_goes_with_the_square_root_of_the_batch_unless_given(make_module):
    def peak(module):
        return module.configure_optimizers()["optimizer"].param_groups[0]["max_lr"]

    assert usual_learning_rate(512) == 4e-3
    assert usual_learning_rate(2048) == 8e-3
    assert usual_learning_rate(4096) == 8e-3
    assert peak(make_module()) == pytest.approx(2e-3)  # batches of 128
    assert peak(make_module(learning_rate=0.3)) == 0.3


def test_each_member_learns_by_itself(make_module, make_batch):
    cells = make_batch(torch.arange(24).reshape(4, 6).numpy(), cell_type=[1, 5, 9, -1])
    module = make_module(n_members=2).eval()
    loss = module.training_step(cells, 0)
    head, latent = module.network.cell_type_head, module.network(cells).latent
    alone = [hierarchical_cross_entropy(part, cells.cell_type, module.tree, 0.3) for part in head.of_members(latent)]
    assert float(loss.detach()) == pytest.approx(float((alone[0] + alone[1]).detach()) / 2, rel=1e-5)
    loss.backward()
    found = module.network.encoder.first.weight.grad[:8].clone()
    module.zero_grad()
    first, _ = head.of_members(module.network(cells).latent)
    (hierarchical_cross_entropy(first, cells.cell_type, module.tree, 0.3) / 2).backward()
    assert torch.allclose(module.network.encoder.first.weight.grad[:8], found, atol=1e-7)


def test_the_first_layer_shares_a_moment_when_asked(make_module):
    usual = make_module().configure_optimizers()["optimizer"]
    assert type(usual) is torch.optim.AdamW
    module = make_module(shared_moment=True, learning_rate=1e-3)
    optimiser = module.configure_optimizers()["optimizer"]
    others, shared = optimiser.param_groups
    assert [parameter is module.network.encoder.first.weight for parameter in shared["params"]] == [True]
    assert len(others["params"]) == len(list(module.network.parameters())) - 1
    assert (others["max_lr"], shared["max_lr"]) == pytest.approx((1e-3, 3e-3))
