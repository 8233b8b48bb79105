from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks.burden import results
from benchmarks.burden_cohorts import FIRST_MOUSE, judge, write_cohorts
from benchmarks.burden_methods import CELLTYPIST_CALLS, CELLTYPIST_SUM, METHODS, said_by_celltypist
from benchmarks.burden_mixtures import BANDS, Mixture, Pool, draw_mixture, draw_plan, write_mixtures
from benchmarks.burden_page import page
from benchmarks.burden_pools import PoolSimulator, held_out_mice
from benchmarks.burden_scores import agreement, band_of, coverage, neutrophil_free
from benchmarks.burden_settings import HELD_OUT_OTHERS, held_out_mice_of_zilionis
from datamodules.simulation.cohort import plan_samples
from datamodules.simulation.config import SimulationConfig

CONFIG = SimulationConfig(output=Path(), n_mice=1, n_held_out_mice=1, n_cells=60, n_genes=700, seed=3)


@pytest.fixture
def pool():
    """Cells that show what they are: neutrophils gene 0, others gene 1, those that do not count gene 2."""
    rows = np.eye(3) * 2000
    counts = [sparse.csr_matrix(np.tile(row, (500, 1)), dtype=np.float32) for row in rows]
    return Pool("mouse", *counts, outside_share=0.1)


def test_a_mixture_has_its_share_depth_and_ambient_rna(pool):
    rng = np.random.default_rng(0)
    mixed = draw_mixture(rng, pool, Mixture(30.0, 2000, 400.0, 0.15)).toarray()
    kind, umi = mixed.argmax(axis=1), mixed.sum(axis=1)
    shares = np.bincount(kind) / len(kind)
    assert shares[2] == pytest.approx(0.1, abs=0.02)
    assert shares[0] / (shares[0] + shares[1]) == pytest.approx(0.3, abs=0.03)
    assert np.median(umi) == pytest.approx(400, rel=0.05)
    # of the ambient 15 %, what is of the cell's own gene does not show
    assert 1 - mixed.max(axis=1).sum() / mixed.sum() == pytest.approx(0.15 * (1 - (shares**2).sum()), abs=0.01)


def test_neutrophils_are_drawn_and_not_counted_out(pool):
    drawn = [
        (draw_mixture(np.random.default_rng(seed), pool, Mixture(10.0, 300, 900.0, 0.0)).toarray().argmax(1) == 0).sum()
        for seed in range(60)
    ]
    assert np.std(drawn) == pytest.approx(np.sqrt(270 * 0.1 * 0.9), rel=0.3)


def test_a_mixture_without_neutrophils_has_none_of_their_rna(pool):
    mixed = draw_mixture(np.random.default_rng(0), pool, Mixture(0.0, 300, 900.0, 0.2))
    assert mixed[:, 0].sum() == 0


@pytest.mark.parametrize("band", BANDS)
def test_plans_lie_in_their_band(band):
    plans = [draw_plan(np.random.default_rng(seed), band, (200, 600)) for seed in range(50)]
    assert all(band[0] <= plan.true_percent <= band[1] for plan in plans)
    assert all(200 <= plan.n_droplets <= 600 and 250 <= plan.median_umi <= 1000 for plan in plans)
    assert all(0 <= plan.ambient_share <= 0.2 for plan in plans)


def test_mixtures_are_written_with_their_donors(pool, tmp_path):
    plans = [Mixture(0.0, 20, 500.0, 0.0), Mixture(50.0, 30, 500.0, 0.0)]
    table = write_mixtures([pool], plans, ["a", "b", "c"], 0, tmp_path / "x.h5ad")
    cells = ad.read_h5ad(tmp_path / "x.h5ad")
    assert cells.obs["sample_id"].value_counts().to_dict() == {"mixture-0001": 30, "mixture-0000": 20}
    assert table[["donor_id", "true_percent"]].values.tolist() == [["mouse", 0.0], ["mouse", 50.0]]


def test_pools_are_of_mice_that_train_nothing():
    trained = {sample.donor_id for sample in plan_samples(4, 2, confounded=False) if not sample.held_out}
    held_out = {sample.donor_id for sample in held_out_mice(4, 2)}
    assert len(held_out) == 20
    assert not trained & held_out


def test_a_simulated_pool_holds_what_it_says():
    simulator = PoolSimulator(replace(CONFIG, n_cells=300))
    pool = simulator.pool(held_out_mice(1, 1)[-1])
    markers = [simulator.genes.index(name) for name in ("S100a8", "S100a9", "Csf3r", "Cxcr2")]
    shares = [float(part[:, markers].sum() / part.sum()) for part in (pool.neutrophils, pool.others)]
    assert shares[0] > 5 * shares[1]
    assert pool.outside.shape[0] < pool.others.shape[0]
    assert 0 < pool.outside_share < 0.2


def test_mice_of_zilionis_train_calibrate_and_test_apart():
    found = held_out_mice_of_zilionis()
    assert len({mouse.name for mouse in found}) == 4
    for mouse in found:
        assert len({mouse.name, mouse.training, *mouse.calibrating[:2]}) == 4
        assert not {mouse.name, mouse.training, *HELD_OUT_OTHERS} & set(mouse.calibrating)
        assert "_t_" in mouse.training
    assert not any("zilionis" in name for name in HELD_OUT_OTHERS)


def test_celltypist_is_summed_and_called(ontology):
    classes = np.array(["N_MAT", "MONO", "ERY"])
    probabilities = np.array([[0.9, 0.1, 0.1], [0.2, 0.6, 0.1], [0.1, 0.1, 0.9]])
    found = said_by_celltypist(classes, probabilities, np.array(["a", "a", "a"]), ontology)
    assert found[CELLTYPIST_SUM].tolist() == pytest.approx([100 * 1.2 / 2.0])
    assert found[CELLTYPIST_CALLS].tolist() == [50.0]


@pytest.fixture
def table():
    true = pd.Series([0.0, 0.0, 0.5, 2.0, 10.0, 40.0])
    ours, high = true + pd.Series([0.0, 1, 0, 0, 0, 2]), true + pd.Series([0.0, 1, 0, 0, -0.05, 3])
    frame = pd.DataFrame({"true_percent": true, "band": band_of(true), "donor": list("aabbcc"), "lod_percent": 0.5})
    return frame.assign(ours=ours, ours_low=true - 0.1, ours_high=high)


def test_bands_of_shares(table):
    assert table["band"].tolist() == ["none", "none", "to 1", "1-5", "5-20", "20-60"]


def test_coverage_counts_truths_beside_the_interval(table):
    found = coverage(table, "ours")
    assert {band: of["covered"]["value"] for band, of in found.items()} == {
        **{"0-1": 1.0, "1-5": 1.0, "5-20": 0.0, "20-60": 1.0},
        **{"none": 1.0, "to 1": 1.0},
    }
    assert (found["5-20"]["below"], found["5-20"]["above"]) == (1.0, 0.0)


def test_agreement_by_hand(table):
    found = agreement(table, "ours")
    assert found["error"]["value"] == pytest.approx(0.5)
    assert found["bias"] == {"none": 0.5, "to 1": 0.0, "1-5": 0.0, "5-20": 0.0, "20-60": 2.0}
    assert agreement(table.assign(ours=2 * table["true_percent"]), "ours")["slope"]["value"] == pytest.approx(2.0)


def test_neutrophil_free_mixtures_are_held_against_the_limit(table):
    found = neutrophil_free(table, "ours")
    assert (found["n"], found["median"], found["limit"], found["below_limit"]) == (2, 0.5, 0.5, 0.5)


@pytest.fixture
def cohorts():
    rises = pd.DataFrame({"kind": "rises", "stage": range(5), "burden_percent": [1.0, 2, 3, 4, 5]})
    falls = rises.assign(burden_percent=rises["burden_percent"][::-1].to_numpy())
    beside = pd.DataFrame({"kind": ["lost", "peak"], "stage": [4, 0], "burden_percent": [np.nan, 15.0]})
    parts = [rises.assign(cohort=0), falls.assign(cohort=1), beside.assign(cohort=0)]
    frame = pd.concat(parts, ignore_index=True).assign(seed=0, assessability="assessable")
    frame.loc[frame["kind"] == "lost", "assessability"] = "not_assessable"
    return frame.assign(predicted_tumor_stage="normal")


def test_cohorts_are_judged(cohorts):
    found = judge(cohorts)
    assert (found["n_cohorts"], found["n_rising"]) == (2, 1)
    assert (found["n_lost"], found["n_lost_not_assessable"]) == (1, 1)
    assert (found["n_peak"], found["n_peak_early_carcinoma"], found["peak_stages"]) == (1, 0, {"normal": 1})
    late = cohorts.assign(predicted_tumor_stage="early carcinoma")
    assert judge(late)["n_peak_early_carcinoma"] == 1


def test_new_cohorts_are_of_mice_that_no_cohort_has(tmp_path):
    table = write_cohorts(CONFIG, 2, tmp_path / "x.h5ad")
    assert table["kind"].value_counts().to_dict() == {"rises": 20, "peak": 4, "lost": 2}
    assert FIRST_MOUSE > 50
    assert table["sample_id"].is_unique
    cells = ad.read_h5ad(tmp_path / "x.h5ad")
    assert set(cells.obs["sample_id"]) == set(table["sample_id"])
    lost = cells[cells.obs["sample_id"].str.startswith("lost").to_numpy()]
    assert lost.X.sum(axis=1).min() >= 800


def test_the_page_shows_every_target(table, cohorts):
    columns = dict.fromkeys(METHODS, table["ours"])
    columns |= {f"cell bootstrap_{end}": table[f"ours_{end}"] for end in ("low", "high")}
    of_part = table.drop(columns="band").assign(**columns, assessability="assessable")
    mixtures = pd.concat([of_part.assign(part=part) for part in ("simulated", "real")])
    about = {
        "command": "make",
        "date": "d",
        "commit": "c",
        "hardware": "h",
        "quick": True,
        "seeds": [0],
        "not_run": ["real, b"],
    }
    text = page(about | results(mixtures, cohorts))
    assert "| simulated: concordance | >= 0.95 |" in text
    assert "| simulated: coverage, 5-20 % | 0.92-0.98 | 0.000 (0.00-0.00) | **not met** |" in text
    assert "| cohorts: burden rises with stage | >= 0.95 | 1 of 2 (0.500) | **not met** |" in text
    assert "| cohorts: capture lost, not assessable | all | 1 of 1 | met |" in text
    assert "A quick run" in text
    assert "Not run yet: real, b." in text
