import pytest
import torch

from model.encoder import EncoderConfig
from model.heads import StageHeadConfig
from model.network import Network, NetworkConfig
from model.training import OptimisationConfig, TrainingModule
from schema.errors import UsageError


@pytest.fixture
def make_module(ontology):
    def make(**options):
        torch.manual_seed(0)
        config = NetworkConfig(
            encoder=EncoderConfig(n_hidden=8, n_blocks=1, n_latent=4, dropout=0.0),
            stage=StageHeadConfig(n_attention=2, n_pooled=2),
        )
        network = Network(n_genes=6, n_leaves=len(ontology.leaves), n_stage_levels=3, config=config)
        torch.nn.init.ones_(network.stage_head.score.weight)
        module = TrainingModule(network, ontology, torch.tensor([0, 2, -1]), OptimisationConfig(**options))
        module.log = lambda *_, **__: None
        return module

    return make


@pytest.fixture
def bags(make_batch):
    counts = torch.arange(48).reshape(8, 6).remainder(7).numpy()
    return make_batch(counts, sample=[0, 0, 0, 1, 1, 1, 2, 2])


def gradients(module, part):
    return [p.grad for p in getattr(module.network, part).parameters() if p.grad is not None and bool(p.grad.any())]


def test_the_stage_loss_leaves_the_encoder_alone_unless_asked(make_module, bags):
    for trains, expected in ((False, False), (True, True)):
        module = make_module(stage_trains_encoder=trains)
        module._stage_loss(bags).backward()
        assert bool(gradients(module, "encoder")) is expected
        assert gradients(module, "stage_head")


def test_a_step_adds_both_losses(make_module, bags, make_batch):
    cells = make_batch(torch.arange(24).reshape(4, 6).numpy(), cell_type=[1, 5, 9, -1])
    module = make_module(thin_share=0.0, stage_weight=2.0).eval()
    both = float(module.training_step({"cells": cells, "bags": bags}, 0).detach())
    cell_loss = float(module.training_step({"cells": cells}, 0).detach())
    stage_loss = float(module._stage_loss(bags).detach())
    assert stage_loss > 0
    assert both == pytest.approx(cell_loss + 2.0 * stage_loss, rel=1e-5)


def test_samples_of_unknown_stage_teach_nothing(make_module, bags, make_batch):
    module = make_module().eval()
    known = make_batch(torch.arange(48).reshape(8, 6).remainder(7).numpy()[:6], sample=[0, 0, 0, 1, 1, 1])
    assert float(module._stage_loss(bags).detach()) == pytest.approx(
        float(module._stage_loss(known).detach()), rel=1e-5
    )


def test_a_wrong_thinning_is_refused():
    with pytest.raises(UsageError, match="thin"):
        OptimisationConfig(thin_min=500.0, thin_max=100.0)
