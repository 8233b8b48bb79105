import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from schema.confusion import Confusion
from schema.errors import UsageError
from scoring.burden import BurdenAccumulator, BurdenConfig, BurdenReference
from tests.scoring.made_confusion import made_confusion, made_probabilities

COLUMNS = ["n_cells", "n_denominator", "n_neutrophils", "burden_percent", "burden_low", "burden_high"]
ESTIMATES = [f"burden_{name}_percent" for name in ("corrected", "counted", "called", "em")]


@pytest.fixture
def reference(ontology):
    """Return a function that makes a reference; without rates it has no donor. The prior is even."""

    def make(sensitivity=(), false_positive=()):
        n_types, n_leaves = len(ontology.nodes_at(2)), len(ontology.leaves)
        none = Confusion.empty(n_types)
        confusion = made_confusion(ontology, sensitivity, false_positive) if len(sensitivity) else none
        return BurdenReference(confusion, np.full(n_leaves, 1 / n_leaves))

    return make


@pytest.fixture
def burden(ontology):
    """Return a function that accumulates neutrophil probabilities, the rest being monocyte."""

    def make(neutrophil, *, sample=None, n_samples=1, block=None, cd45=False, config=None, umi=1000.0, **others):
        neutrophil = np.asarray(neutrophil, dtype=np.float64)
        others = others or {"MONO": 1 - neutrophil}
        probabilities = made_probabilities(ontology, N_MAT=neutrophil, **others)
        sample = np.zeros(len(neutrophil), dtype=np.int64) if sample is None else sample
        found = BurdenAccumulator(ontology, np.full(n_samples, cd45), config or BurdenConfig(n_replicates=500))
        for start in range(0, len(neutrophil), block or max(1, len(neutrophil))):
            part = slice(start, start + (block or len(neutrophil)))
            found.update(sample[part], probabilities[part], np.full(len(sample[part]), umi))
        return found

    return make


def test_counted_is_the_ratio_of_summed_probabilities(burden, reference):
    row = burden([1.0, 0.0, 0.5], MONO=[0.0, 1.0, 0.0], ERY=[0.0, 0.0, 0.5]).estimate(reference()).iloc[0]
    assert row["n_cells"] == 3
    assert row["n_neutrophils"] == pytest.approx(1.5)
    assert row["n_denominator"] == pytest.approx(2.5)
    assert row["burden_percent"] == row["burden_counted_percent"] == pytest.approx(60.0)
    assert row["burden_called_percent"] == pytest.approx(100 * 2 / 3)  # the third is called neutrophil: first of equals
    assert row["burden_estimator"] == "counted"


def test_columns_and_dtypes(burden, reference):
    frame = burden([0.5]).estimate(reference())
    assert frame.columns.tolist() == [*COLUMNS, *ESTIMATES, "burden_estimator"]
    assert [str(dtype) for dtype in frame.dtypes] == ["int64"] + ["float64"] * 9 + ["object"]


def test_mistakes_of_held_out_donors_are_undone(burden, reference):
    # 200 of 1,000 cells are neutrophils, of which 80 % are found; 5 % of the other 800 are taken for some
    said = 200 * 0.8 + 800 * 0.05
    row = burden(np.arange(1000) < said).estimate(reference([0.8] * 5, [0.05] * 5)).iloc[0]
    assert row["burden_counted_percent"] == pytest.approx(20.0)
    assert row["burden_corrected_percent"] == pytest.approx(20.0, abs=0.01)  # by chance, found and taken cancel
    row = burden(np.arange(1000) < 130).estimate(reference([0.8] * 5, [0.05] * 5)).iloc[0]
    assert row["burden_percent"] == pytest.approx(100 * (0.13 - 0.05) / 0.75, abs=0.02)  # Rogan and Gladen 1978
    assert row["burden_estimator"] == "corrected"


def test_mistakes_are_those_of_the_depth(burden, reference, ontology):
    confusion = made_confusion(ontology, [1.0, 1.0], [0.0, 0.0])
    types = [ontology.nodes[i].id for i in ontology.nodes_at(2)]
    monocyte, neutrophil = types.index("MONO"), types.index("NEUT")
    confusion.said[:, 0, monocyte, monocyte], confusion.said[:, 0, monocyte, neutrophil] = 0.9, 0.1  # below 200 UMI
    rows = [
        burden(np.arange(1000) < 100, umi=umi)
        .estimate(BurdenReference(confusion, reference().leaf_prior))
        .loc[0, "burden_percent"]
        for umi in (150.0, 1500.0)
    ]
    assert rows == pytest.approx([0.0, 10.0], abs=0.01)


@pytest.mark.parametrize("block", [1, 7, 512, 1999])
def test_result_does_not_depend_on_how_rows_are_cut_or_ordered(burden, reference, block):
    rng = np.random.default_rng(0)
    values, sample = rng.random(2000), rng.integers(0, 3, 2000)
    whole = burden(values, sample=sample, n_samples=3).estimate(reference([0.9, 0.8], [0.01, 0.02]))
    order = rng.permutation(2000)
    cut = burden(values[order], sample=sample[order], n_samples=3, block=block)
    pd.testing.assert_frame_equal(cut.estimate(reference([0.9, 0.8], [0.01, 0.02])), whole, check_exact=True)


def test_a_sample_does_not_feel_its_neighbors(burden, reference):
    values, sample = np.random.default_rng(1).random(600), np.tile([0, 1, 2], 200)
    among_others = burden(values, sample=sample, n_samples=3).estimate(reference())
    alone = burden(values[::3]).estimate(reference())
    pd.testing.assert_series_equal(among_others.iloc[0], alone.iloc[0], check_exact=True)


def test_samples_alike_get_other_draws(burden, reference):
    frame = burden(np.tile([0.1, 0.9], 30), sample=np.repeat([0, 1], 30), n_samples=2).estimate(reference())
    assert frame["burden_percent"].nunique() == 1
    assert frame["burden_high"].nunique() == 2


def test_same_seed_same_interval_other_seed_another(burden, reference):
    values = np.random.default_rng(2).random(300)
    first, again, other = (
        burden(values, config=BurdenConfig(seed=s)).estimate(reference()).loc[0, "burden_high"] for s in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_cd45_is_counted_among_immune_cells(burden, reference):
    parts = {"MONO": [0.0, 1.0, 0.0, 0.0], "LASP": [0.0, 0.0, 1.0, 1.0]}
    among_all = burden([1.0, 0, 0, 0], **parts).estimate(reference()).iloc[0]
    among_immune = burden([1.0, 0, 0, 0], cd45=True, **parts).estimate(reference()).iloc[0]
    assert among_all["burden_percent"] == pytest.approx(25.0)
    assert among_immune["burden_percent"] == pytest.approx(50.0)
    assert among_immune[["burden_called_percent", "burden_counted_percent"]].tolist() == pytest.approx([50.0, 50.0])


@pytest.mark.parametrize("estimator", ["counted", "called", "em"])
def test_another_estimator_can_be_the_burden(burden, reference, estimator):
    values = np.random.default_rng(3).beta(0.3, 1, 400)
    row = (
        burden(values, config=BurdenConfig(estimator=estimator))
        .estimate(reference([0.9, 0.95, 0.9], [0.02] * 3))
        .iloc[0]
    )
    assert row["burden_estimator"] == estimator
    assert row["burden_percent"] == row[f"burden_{estimator}_percent"] != row["burden_corrected_percent"]
    assert row["burden_low"] <= row["burden_percent"] <= row["burden_high"]


def test_interval_of_hard_calls_without_donors_is_jeffreys(burden, reference):
    row = burden(np.arange(2000) < 200, config=BurdenConfig(n_replicates=20_000)).estimate(reference()).iloc[0]
    assert row["burden_low"] == pytest.approx(100 * beta.ppf(0.025, 200.5, 1800.5), abs=0.1)
    assert row["burden_high"] == pytest.approx(100 * beta.ppf(0.975, 200.5, 1800.5), abs=0.1)


def test_no_neutrophil_among_few_cells_is_no_certainty(burden, reference):
    row = burden(np.zeros(60), config=BurdenConfig(n_replicates=20_000)).estimate(reference()).iloc[0]
    assert row["burden_percent"] == 0.0
    assert row["burden_high"] == pytest.approx(100 * beta.ppf(0.975, 0.5, 60.5), rel=0.05)


def simulate_interval(seed, true_percent, burden, reference):
    """One sample of a new donor, whose error rates vary like those of 8 reference donors."""
    rng = np.random.default_rng(seed)
    sensitivity, false_positive = np.clip(rng.normal([0.88, 0.004], [0.06, 0.003], (9, 2)), 0, 1).T
    n_neutrophils = rng.binomial(3000, true_percent / 100)
    chance = np.where(np.arange(3000) < n_neutrophils, sensitivity[0], false_positive[0])
    found = burden(rng.random(3000) < chance, config=BurdenConfig(seed=seed))
    donors = found.estimate(reference(sensitivity[1:], false_positive[1:])).iloc[0]
    cells = found.estimate(reference()).iloc[0]
    return [row["burden_low"] <= true_percent <= row["burden_high"] for row in (donors, cells)]


@pytest.mark.parametrize("true_percent", [0.0, 0.5, 2.0, 10.0, 30.0])
def test_interval_covers_the_truth_in_new_donors(true_percent, burden, reference):
    seeds = range(100)
    hits = [simulate_interval(seed, true_percent, burden, reference) for seed in seeds]
    with_donors, cells_only = np.mean(hits, axis=0)
    assert with_donors >= 0.88  # three standard errors of 100 below 0.95
    assert cells_only <= with_donors - 0.1


def test_memory_is_small_and_does_not_grow_with_cells(ontology):
    def peak(n_samples, n_blocks):
        tracemalloc.start()
        accumulator = BurdenAccumulator(ontology, np.zeros(n_samples, dtype=bool), BurdenConfig())
        kept = tracemalloc.get_traced_memory()[0]
        probabilities = made_probabilities(ontology, N_MAT=np.full(500, 0.5), MONO=np.full(500, 0.5))
        for _ in range(n_blocks):
            accumulator.update(np.arange(500) % n_samples, probabilities, np.full(500, 900.0))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return kept, highest

    assert peak(1000, 1)[0] < 4_000_000  # 4 KB per sample
    assert peak(10, 20)[1] < 1.2 * peak(10, 2)[1]


def test_a_sample_without_countable_cells_is_unknown(burden, reference):
    frame = burden([0.0], ERY=[1.0], n_samples=2).estimate(reference([0.9, 0.8], [0.01, 0.01]))
    assert frame["n_cells"].tolist() == [1, 0]
    assert frame[["burden_percent", "burden_low", "burden_high"]].isna().all(axis=None)


def test_no_samples_no_rows(ontology, reference):
    assert len(BurdenAccumulator(ontology, np.zeros(0, dtype=bool), BurdenConfig()).estimate(reference())) == 0


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(burden, wrong):
    with pytest.raises(ValueError, match="probabilities"):
        burden([wrong], MONO=[0.0])


def test_lengths_that_differ_are_refused(ontology):
    accumulator = BurdenAccumulator(ontology, np.zeros(1, dtype=bool), BurdenConfig())
    with pytest.raises(ValueError, match="Expected 1 cells but got 2 and 1"):
        accumulator.update(np.array([0]), np.zeros((2, len(ontology.leaves))), np.ones(1))


@pytest.mark.parametrize("option", [{"n_replicates": 99}, {"level": 1.0}, {"level": 0.4}, {"seed": -1}])
def test_a_config_that_gives_no_interval_is_a_usage_error(option):
    with pytest.raises(UsageError, match=rf"burden\.{next(iter(option))}"):
        BurdenConfig(**option)
