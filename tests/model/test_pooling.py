import torch

from model.pooling import add_cells, attention_by_type, empty_pool, pooled_latent


def cells(seed=0, n=60):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, generator=generator) * 20,
        torch.randn(n, 5, generator=generator),
        torch.randint(0, 3, (n,), generator=generator),
        torch.randint(0, 4, (n,), generator=generator),
    )


def test_pooling_is_a_softmax_within_each_sample():
    score, latent, cell_type, sample = cells()
    state = add_cells(empty_pool(4, 5, 3), score, latent, cell_type, sample)
    for which in range(4):
        inside = sample == which
        attention = torch.softmax(score[inside].double(), 0)
        expected = (attention[:, None] * latent[inside].double()).sum(0).float()
        assert torch.allclose(pooled_latent(state)[which], expected, atol=1e-5)
        by_type = [float(attention[cell_type[inside] == one].sum()) for one in range(3)]
        assert torch.allclose(attention_by_type(state)[which], torch.tensor(by_type), atol=1e-5)


def test_the_result_does_not_depend_on_how_cells_are_cut():
    parts = cells()
    whole = add_cells(empty_pool(4, 5, 3), *parts)
    state = empty_pool(4, 5, 3)
    for start in range(0, 60, 7):
        state = add_cells(state, *(part[start : start + 7] for part in parts))
    assert torch.allclose(pooled_latent(state), pooled_latent(whole), atol=1e-5)
    assert torch.allclose(attention_by_type(state), attention_by_type(whole), atol=1e-5)


def test_a_sample_without_cells_is_zero():
    assert pooled_latent(empty_pool(2, 5, 3)).tolist() == [[0.0] * 5] * 2
