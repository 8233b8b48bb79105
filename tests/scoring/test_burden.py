import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binomtest

from schema.errors import UsageError
from scoring.burden import BurdenAccumulator, BurdenConfig, BurdenReference, draw_error_rates, undo_errors

NO_REFERENCE = BurdenReference.empty()


def accumulate(neutrophil, denominator=None, *, sample=None, n_samples=1, block=None, config=None):
    neutrophil = np.asarray(neutrophil, dtype=np.float64)
    denominator = np.ones(len(neutrophil)) if denominator is None else np.asarray(denominator, dtype=np.float64)
    sample = np.zeros(len(neutrophil), dtype=np.int64) if sample is None else sample
    accumulator = BurdenAccumulator(n_samples, config or BurdenConfig())
    block = block or max(1, len(neutrophil))
    for start in range(0, len(neutrophil), block):
        part = slice(start, start + block)
        accumulator.update(sample[part], neutrophil[part], denominator[part])
    return accumulator


def test_estimate_is_the_ratio_of_summed_probabilities():
    row = accumulate([1.0, 0.0, 0.5], [1.0, 1.0, 0.5]).estimate(NO_REFERENCE).iloc[0]
    assert row["n_cells"] == 3
    assert row["n_neutrophils"] == 1.5
    assert row["n_denominator"] == 2.5
    assert row["burden_percent"] == 60.0


def test_columns_and_dtypes():
    frame = accumulate([0.5]).estimate(NO_REFERENCE)
    expected = ["n_cells", "n_denominator", "n_neutrophils", "burden_percent", "burden_low", "burden_high"]
    assert frame.columns.tolist() == expected
    assert [str(dtype) for dtype in frame.dtypes] == ["int64"] + ["float64"] * 5


@pytest.mark.parametrize("block", [1, 7, 512, 513, 1999])
def test_result_does_not_depend_on_how_rows_are_cut(block):
    rng = np.random.default_rng(0)
    denominator = rng.random(2000)
    neutrophil = denominator * rng.random(2000)
    sample = rng.integers(0, 3, 2000)
    cut = accumulate(neutrophil, denominator, sample=sample, n_samples=3, block=block).estimate(NO_REFERENCE)
    whole = accumulate(neutrophil, denominator, sample=sample, n_samples=3).estimate(NO_REFERENCE)
    pd.testing.assert_frame_equal(cut, whole, check_exact=True)


def test_a_sample_does_not_feel_its_neighbors():
    rng = np.random.default_rng(1)
    neutrophil, sample = rng.random(600), np.tile([0, 1, 2], 200)
    among_others = accumulate(neutrophil, sample=sample, n_samples=3).estimate(NO_REFERENCE)
    alone = accumulate(neutrophil[::3]).estimate(NO_REFERENCE)
    pd.testing.assert_series_equal(among_others.iloc[0], alone.iloc[0], check_exact=True)


def test_samples_alike_are_resampled_independently():
    values, sample = np.repeat(np.random.default_rng(4).random(400), 30), np.tile(np.arange(30), 400)
    frame = accumulate(values, sample=sample, n_samples=30, config=BurdenConfig(n_replicates=100)).estimate(
        NO_REFERENCE
    )
    width = (frame["burden_high"] - frame["burden_low"]).mean()
    # the 2.5th percentile of 100 normal replicates has a standard error of 0.07 widths; were the weights shared, 0.01
    assert 0.04 < frame["burden_low"].std() / width < 0.12


def test_same_seed_same_interval_other_seed_another():
    values = np.random.default_rng(2).random(300)
    first, again, other = (
        accumulate(values, config=BurdenConfig(seed=s)).estimate(NO_REFERENCE).loc[0, "burden_high"] for s in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(("n_neutrophils", "n_cells"), [(200, 2000), (15, 500), (60, 120)])
def test_interval_of_hard_calls_agrees_with_wilson(n_neutrophils, n_cells):
    calls = np.arange(n_cells) < n_neutrophils
    row = accumulate(calls, config=BurdenConfig(n_replicates=4000)).estimate(NO_REFERENCE).iloc[0]
    wilson = binomtest(n_neutrophils, n_cells).proportion_ci(method="wilson")
    width = 100 * (wilson.high - wilson.low)
    assert row["burden_low"] == pytest.approx(100 * wilson.low, abs=0.12 * width)
    assert row["burden_high"] == pytest.approx(100 * wilson.high, abs=0.12 * width)


def test_interval_of_soft_calls_agrees_with_a_multinomial_bootstrap():
    rng = np.random.default_rng(3)
    denominator = rng.beta(8, 1, 800)
    neutrophil = denominator * rng.beta(0.3, 2, 800)
    row = accumulate(neutrophil, denominator, config=BurdenConfig(n_replicates=2000)).estimate(NO_REFERENCE).iloc[0]
    picks = rng.integers(800, size=(2000, 800))
    low, high = np.quantile(100 * neutrophil[picks].sum(1) / denominator[picks].sum(1), [0.025, 0.975])
    assert row["burden_low"] == pytest.approx(low, abs=0.1 * (high - low))
    assert row["burden_high"] == pytest.approx(high, abs=0.1 * (high - low))


def test_no_neutrophil_among_few_cells_is_no_certainty():
    row = accumulate(np.zeros(60), config=BurdenConfig(n_replicates=4000)).estimate(NO_REFERENCE).iloc[0]
    assert (row["burden_percent"], row["burden_low"]) == (0.0, 0.0)
    assert row["burden_high"] == pytest.approx(100 * beta.ppf(0.975, 0.5, 60.5), rel=0.12)


def test_correction_is_rogan_and_gladen():
    corrected = undo_errors(np.array([0.1, 0.005, 0.95]), np.full(3, 0.91), np.full(3, 0.01))
    np.testing.assert_allclose(corrected, [0.1, 0.0, 1.0])


def test_correction_survives_a_donor_in_whom_neutrophils_are_not_seen():
    corrected = undo_errors(np.array([0.3, 0.01]), np.array([0.02, 0.02]), np.array([0.02, 0.02]))
    np.testing.assert_allclose(corrected, [1.0, 0.0])


def test_interval_is_widened_to_contain_the_estimate():
    reference = BurdenReference(np.full(8, 0.5), np.zeros(8))  # half of the neutrophils are missed
    row = accumulate(np.arange(3000) < 300).estimate(reference).iloc[0]
    assert row["burden_percent"] == row["burden_low"] == 10.0
    assert row["burden_high"] == pytest.approx(22.2, abs=0.6)  # 20 % and its sampling error


def test_drawn_rates_spread_like_a_smoothed_bootstrap():
    reference = BurdenReference(np.array([0.8, 0.9, 0.85, 0.88]), np.array([0.002, 0.006, 0.004, 0.01]))
    sensitivity, false_positive = draw_error_rates(reference, 50_000, np.random.default_rng(0))
    for drawn, seen in ((sensitivity, reference.sensitivity), (false_positive, reference.false_positive)):
        jitter = 1.06 * seen.std(ddof=1) * 4**-0.2
        assert drawn.mean() == pytest.approx(seen.mean(), rel=0.03)
        assert drawn.std() == pytest.approx(np.hypot(seen.std(), jitter), rel=0.06)
    assert np.corrcoef(sensitivity, false_positive)[0, 1] > 0.1  # drawn in pairs


def test_one_donor_is_taken_as_it_is():
    sensitivity, false_positive = draw_error_rates(
        BurdenReference(np.array([0.9]), np.array([0.01])), 5, np.random.default_rng(0)
    )
    assert sensitivity.tolist() == [0.9] * 5
    assert false_positive.tolist() == [0.01] * 5


def simulate_interval(seed, true_percent):
    """One sample of a new donor, whose error rates vary like those of the 8 reference donors."""
    rng = np.random.default_rng(seed)
    sensitivity, false_positive = np.clip(rng.normal([0.88, 0.004], [0.06, 0.003], (9, 2)), 0, 1).T
    n_neutrophils = rng.binomial(3000, true_percent / 100)
    chance = np.where(np.arange(3000) < n_neutrophils, sensitivity[0], false_positive[0])
    accumulator = accumulate(rng.random(3000) < chance, config=BurdenConfig(n_replicates=200, seed=seed))
    donors = accumulator.estimate(BurdenReference(sensitivity[1:], false_positive[1:])).iloc[0]
    cells = accumulator.estimate(NO_REFERENCE).iloc[0]
    return [row["burden_low"] <= true_percent <= row["burden_high"] for row in (donors, cells)]


@pytest.mark.parametrize("true_percent", [0.0, 0.5, 2.0, 10.0, 30.0])
def test_interval_covers_the_truth_in_new_donors(true_percent):
    with_donors, cells_only = np.mean([simulate_interval(seed, true_percent) for seed in range(120)], axis=0)
    assert with_donors >= 0.87  # 0.93-0.96 in 2,000 simulations; three standard errors of 120 below
    assert cells_only <= with_donors - 0.1


def test_memory_does_not_grow_with_cells():
    def peak(n_blocks):
        accumulator = BurdenAccumulator(2, BurdenConfig())
        sample, half = np.tile([0, 1], 1000), np.full(2000, 0.5)
        tracemalloc.start()
        for _ in range(n_blocks):
            accumulator.update(sample, half, half)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    assert peak(20) < 1.2 * peak(2)


def test_a_sample_without_countable_cells_is_unknown():
    frame = accumulate([0.0], [0.0], n_samples=2).estimate(NO_REFERENCE)
    assert frame["n_cells"].tolist() == [1, 0]
    assert frame[["burden_percent", "burden_low", "burden_high"]].isna().all(axis=None)


def test_no_samples_no_rows():
    assert len(BurdenAccumulator(0, BurdenConfig()).estimate(NO_REFERENCE)) == 0


@pytest.mark.parametrize(
    ("neutrophil", "denominator", "rule"),
    [
        ([0.6], [0.5], "part of the denominator"),
        ([np.nan], [1.0], "probabilities"),
        ([-0.1], [1.0], "probabilities"),
        ([0.1], [1.1], "probabilities"),
        ([0.1, 0.1], [1.0, 1.0], "Expected 1 probabilities"),
    ],
)
def test_what_is_no_probability_is_refused(neutrophil, denominator, rule):
    accumulator = BurdenAccumulator(1, BurdenConfig())
    with pytest.raises(ValueError, match=rule):
        accumulator.update(np.array([0]), np.array(neutrophil), np.array(denominator))


def test_rounding_of_float32_sums_is_no_fault():
    accumulator = BurdenAccumulator(1, BurdenConfig())
    accumulator.update(np.array([0]), np.float32([1.0000001]), np.float32([1.0]))
    assert accumulator.estimate(NO_REFERENCE).loc[0, "burden_percent"] == 100.0


@pytest.mark.parametrize("rates", [([0.9, 0.8], [0.1]), ([np.nan], [0.1]), ([0.9], [1.2])])
def test_a_reference_is_one_finite_pair_per_donor(rates):
    with pytest.raises(ValueError, match="Expected"):
        BurdenReference(np.array(rates[0]), np.array(rates[1]))


@pytest.mark.parametrize("option", [{"n_replicates": 99}, {"level": 1.0}, {"level": 0.4}, {"seed": -1}])
def test_a_config_that_gives_no_interval_is_a_usage_error(option):
    with pytest.raises(UsageError, match=rf"burden\.{next(iter(option))}"):
        BurdenConfig(**option)


def test_donors_without_neutrophils_or_other_cells_are_no_reference():
    reference = BurdenReference.of_rates([0.9, float("nan"), 0.8], [0.01, 0.02, float("nan")])
    assert reference.sensitivity.tolist() == [0.9]
    assert reference.false_positive.tolist() == [0.01]
