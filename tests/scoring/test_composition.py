import numpy as np
import pandas as pd
import pytest

from scoring.composition import log_ratios


def table(**fractions):
    return pd.DataFrame({"n_cells": [1100, 1100], "n_low_counts": [100, 100], **fractions})


def test_ratios_are_centred_logs_of_cells(ontology):
    ratios = log_ratios(table(fraction_NEUT=[0.1, 0.2], fraction_MAL=[0.6, 0.3], fraction_B=[0.3, 0.5]), ontology)
    logs = np.log([100.5, 600.5, 300.5])
    assert ratios.loc[0].tolist() == pytest.approx(logs - logs.mean())
    assert list(ratios) == ["NEUT", "MAL", "B"]


def test_what_the_burden_does_not_count_and_rare_types_are_left_out(ontology):
    counted = {"fraction_NEUT": [0.1, 0.2], "fraction_MAL": [0.6, 0.3]}
    outside = {f"fraction_{name}": [0.1, 0.0] for name in ("ERY", "PLT", "AMBIENT", "DOUBLET")}
    ratios = log_ratios(table(**counted, **outside, fraction_B=[0.004, 0.004], fraction_NK=[0.006, 0.005]), ontology)
    assert list(ratios) == ["NEUT", "MAL", "NK"]


def test_one_type_alone_has_no_ratio(ontology):
    assert log_ratios(table(fraction_NEUT=[0.1, 0.2]), ontology).shape == (2, 0)
