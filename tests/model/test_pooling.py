import torch

from model.pooling import PoolState, add_cells, empty_pool, merge_pools, pooled_latent


def cells(seed=0, n=60):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, generator=generator) * 20,
        torch.randn(n, 5, generator=generator),
        torch.rand(n, 3, generator=generator),
        torch.randint(0, 4, (n,), generator=generator),
    )


def by_hand(score, latent, sample, which):
    inside = sample == which
    return (torch.softmax(score[inside].double(), 0)[:, None] * latent[inside].double()).sum(0).float()


def test_pooling_is_a_softmax_within_each_sample():
    score, latent, probabilities, sample = cells()
    state = add_cells(empty_pool(4, 5, 3), score, latent, probabilities, sample)
    for which in range(4):
        assert torch.allclose(pooled_latent(state)[which], by_hand(score, latent, sample, which), atol=1e-5)
    assert torch.allclose(state.composition[2], probabilities[sample == 2].sum(0), atol=1e-5)
    assert state.n_cells.tolist() == torch.bincount(sample, minlength=4).float().tolist()


def test_the_result_does_not_depend_on_how_cells_are_cut():
    parts = cells()
    whole = add_cells(empty_pool(4, 5, 3), *parts)
    state = empty_pool(4, 5, 3)
    for start in range(0, 60, 7):
        state = add_cells(state, *(part[start : start + 7] for part in parts))
    assert torch.allclose(pooled_latent(state), pooled_latent(whole), atol=1e-5)
    assert torch.allclose(state.composition, whole.composition, atol=1e-5)


def test_merging_two_ranks_equals_one_pass():
    parts = cells()
    whole = add_cells(empty_pool(4, 5, 3), *parts)
    left = add_cells(empty_pool(4, 5, 3), *(part[:20] for part in parts))
    right = add_cells(empty_pool(4, 5, 3), *(part[20:] for part in parts))
    for got, want in zip(merge_pools(left, right), whole, strict=True):
        assert torch.allclose(got, want, atol=1e-4)


def test_a_sample_without_cells_is_finite():
    state = merge_pools(empty_pool(2, 5, 3), empty_pool(2, 5, 3))
    assert isinstance(state, PoolState)
    assert torch.equal(pooled_latent(state), torch.zeros(2, 5))
