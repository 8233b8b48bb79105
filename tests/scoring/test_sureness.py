import math
import re

from schema.calls import CallRules
from scoring.reliability_figure import reliability_figure
from scoring.sureness import sureness

CHECKS = {
    "back_off": [
        {"back_off": 0.5, "called": 1.0, "accuracy": 0.9, "mean_level": 2.5},
        {"back_off": 0.7, "called": 0.93, "accuracy": 0.964, "mean_level": 2.2},
    ],
    "novelty": [
        {"left_out": "B", "n_cells": 50, "auroc": 0.99, "found": 0.9},
        {"left_out": "MAC", "n_cells": 70, "auroc": 0.8, "found": 0.5},
    ],
}


def test_the_bundle_says_how_often_its_labels_were_right():
    back_off, novelty = sureness(CallRules(back_off=0.7, novelty=2.345), CHECKS)
    assert "exceeds 0.7." in back_off
    assert "93 % of the cells were labelled so, and 96.4 % of these labels were right" in back_off
    assert "exceeds 2.3 " in novelty
    assert "each of 2 types in turn taken as unknown, 70 % of its cells were found (50 to 90 % by type)" in novelty


def test_nothing_is_said_where_nothing_was_held_out():
    assert sureness(CallRules(back_off=0.5, novelty=math.inf), {"back_off": [], "novelty": []}) == []
    assert sureness(None, {}) == []


def test_the_figure_names_each_level_with_its_error():
    bins = [[0, 0.0, 0]] * 14 + [[100, 97.0, 95]]
    levels = [
        {"level": 1, "n_cells": 1234, "ece": 0.0123, "bins": bins},
        {"level": 2, "n_cells": 9, "ece": 0.2, "bins": bins},
    ]
    text = " ".join(re.findall(r">([^<>]+)</text>", reliability_figure(levels)))
    assert "lineage" in text
    assert "1,234 cells, mean gap 0.012" in text
    assert "type" in text
