import math

import pandas as pd
import pytest

from scoring.wording import burden_text, count_text, interval_text, percent_text, visible_text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00"), (0.042, "0.04"), (3.14, "3.1"), (31.44, "31.4"), (math.nan, "–")]
)
def test_percent(value, text):
    assert percent_text(value) == text


def test_interval():
    sample = pd.Series({"burden_percent": 4.21, "burden_low": 0.9, "burden_high": 10.0, "detection": "detected"})
    assert interval_text(sample) == "4.2 (0.90–10.0)"


def test_below_the_limit_of_detection_there_is_no_number():
    values = {"burden_percent": 0.1, "burden_low": 0.0, "burden_high": 0.6, "detection": "< LOD", "lod_percent": 0.4}
    assert interval_text(pd.Series(values)) == "< LOD (0.00–0.60)"
    assert burden_text(pd.Series(values)) == "< LOD (0.40 %)"


def test_a_blank_burden_is_words_and_no_number():
    assert interval_text(pd.Series({"burden_percent": math.nan})) == "not assessable"


def test_counts_are_grouped_by_thin_spaces():
    assert count_text(1234567.4) == "1\u202f234\u202f567"
    assert count_text(math.nan) == "–"


def test_control_and_direction_characters_show():
    assert visible_text("a\r\n\tb\x00c\u202ed\u2028é") == "a b�c�d�é"
