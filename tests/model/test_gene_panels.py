import numpy as np
import pytest
import torch

from model.encoder import Encoder, EncoderConfig
from model.gene_panels import N_PANELS, drop_genes

N_GENES = 400


@pytest.fixture
def dropped(make_cells):
    """Cells of two files of which the second lacks the first gene, before and after all but one lost genes."""
    torch.manual_seed(0)
    counts = np.random.default_rng(0).poisson(4.0, size=(2 * N_PANELS + 1, N_GENES)) + 1
    present = [[True] * N_GENES, [False] + [True] * (N_GENES - 1)]
    columns = [list(range(N_GENES)), [-1, *range(1, N_GENES)]]
    file = [row // N_PANELS % 2 for row in range(2 * N_PANELS + 1)]
    cells = make_cells(counts, file=file, present=present, columns=columns)
    before = cells._replace(expression=cells.expression.clone())
    return before, drop_genes(cells, torch.arange(2 * N_PANELS), 0.7), counts


def test_dropped_genes_are_not_present_and_zero(dropped):
    before, after, _ = dropped
    present = after.present[after.file]
    assert after.present.shape == (2 + 2 * N_PANELS, N_GENES)
    assert not bool((present & ~before.present[before.file]).any())
    assert not bool(after.expression[~present].any())
    assert bool((after.expression[present] > 0).all())
    lost = 1 - present[: 2 * N_PANELS].float().mean(dim=1)
    assert float(lost.min()) > 0
    assert float(lost.max()) < 0.8
    assert len({tuple(row) for row in present[: 2 * N_PANELS, 1:].tolist()}) == N_PANELS
    assert torch.equal(present[:N_PANELS, 1:], present[N_PANELS : 2 * N_PANELS, 1:])


def test_what_is_left_is_normalised_as_its_file_would_be(dropped):
    """By counts over all genes, or over those left where the file was cut."""
    before, after, counts = dropped
    for row in range(2 * N_PANELS):
        left = counts[row] * after.present[after.file[row]].numpy()
        library = counts[row].sum() if row % 2 == 0 else left.sum()
        np.testing.assert_allclose(after.expression[row], np.log1p(left * 1e4 / library), rtol=1e-4)
        assert float(after.library_size[row]) == pytest.approx(library, rel=1e-5)
    assert torch.equal(after.expression[-1], before.expression[-1])
    assert int(after.file[-1]) == int(before.file[-1])


def test_dropped_genes_enter_the_encoder_as_unknown(dropped):
    """As if they had the mean of the training cells."""
    _, after, _ = dropped
    encoder = Encoder(N_GENES, EncoderConfig(n_hidden=8, n_blocks=1, n_latent=4)).eval()
    encoder.gene_mean.copy_(torch.rand(N_GENES) * 3)
    filled = torch.where(after.present[after.file], after.expression, encoder.gene_mean)
    everything = torch.ones(1, N_GENES, dtype=torch.bool)
    with torch.no_grad():
        expected = encoder(filled, everything, torch.zeros_like(after.file))
        torch.testing.assert_close(encoder(after.expression, after.present, after.file), expected, rtol=1e-4, atol=1e-5)
