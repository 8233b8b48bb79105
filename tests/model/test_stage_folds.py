import numpy as np
import torch

from model.proportional_odds import fit_proportional_odds
from model.stage_features import COMPOSITION, LOOKS, FeatureBlocks
from model.stage_folds import cross_fit, donor_folds, nested_fit
from model.stage_heads import ATTENTION, StageBag, StageInputs


def samples(n=40, seed=0, cells_of=12):
    """Two stages: composition is noise, looks tell them apart, and so does one direction of a tenth of the cells."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.arange(n) % 2
    looks = torch.randn(n, 3, generator=generator) + 3 * level[:, None] * torch.tensor([1.0, 0.0, 0.0])
    sample = torch.arange(n).repeat_interleave(cells_of)
    latent = torch.randn(len(sample), 4, generator=generator)
    latent[::4, 0] += 6 * level[sample[::4]] - 3
    blocks = FeatureBlocks(torch.randn(n, 5, generator=generator), looks)
    return StageInputs(blocks, StageBag(latent, torch.zeros_like(sample), sample)), level


def test_a_donor_is_in_one_fold_and_folds_are_alike():
    donor, level = np.repeat(np.arange(20), 2), np.repeat(np.arange(20) % 4, 2)
    fold = donor_folds(donor, level, 5, 0)
    assert all(len(set(fold[donor == one])) == 1 for one in range(20))
    assert [sorted(np.unique(level[fold == number]).tolist()) for number in range(5)] == [[0, 1, 2, 3]] * 5
    assert donor_folds(np.array([7, 9]), np.array([0, 1]), 5, 0).max() == 1
    assert donor_folds(donor, level, 5, 0).tolist() != donor_folds(donor, level, 5, 1).tolist()


def test_no_fold_is_taught_by_its_own_donors():
    inputs, level = samples()
    donor, taught = np.arange(40) // 2, []

    def fit(some, their, donors):
        taught.append(set(donors))
        return fit_proportional_odds(some.blocks.read_by(LOOKS), their, 2, 1e-2)

    fold = donor_folds(donor, level.numpy(), 5, 0)
    found = cross_fit(fit, LOOKS, inputs, level, donor, fold)
    assert [sorted(seen) for seen in taught] == [sorted(set(donor[fold != k])) for k in range(5)]
    assert all(not seen & set(donor[fold == k]) for k, seen in enumerate(taught))
    assert len(found.models) == 5
    one = torch.from_numpy(np.flatnonzero(fold == 3))
    torch.testing.assert_close(found.logits[one], found.models[3](inputs.blocks.looks[one]))


def test_heads_find_what_they_can_see():
    inputs, level = samples()
    right = {}
    for head in (COMPOSITION, LOOKS, ATTENTION):
        found = nested_fit(head, inputs, level, np.arange(40), 2, 0)
        right[head] = float(((found.logits[:, 0] > 0) == (level == 1)).float().mean())
    assert right[LOOKS] > 0.9
    assert right[ATTENTION] > 0.85
    assert right[COMPOSITION] < 0.75


def test_taking_some_samples_takes_their_cells():
    inputs, _ = samples(n=6, cells_of=2)
    some = inputs.of(torch.tensor([4, 1]))
    torch.testing.assert_close(some.blocks.composition, inputs.blocks.composition[[4, 1]])
    assert some.bag.sample.tolist() == [1, 1, 0, 0]
    torch.testing.assert_close(some.bag.latent[:2], inputs.bag.latent[2:4])


def test_nested_fit_is_the_same_again():
    inputs, level = samples()
    first, second = (nested_fit(ATTENTION, inputs, level, np.arange(40), 2, 3).logits for _ in range(2))
    assert torch.equal(first, second)
