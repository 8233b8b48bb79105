"""CSV files: names that a spreadsheet would run are text, and come back as they were."""

import csv

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.tables import as_text, as_was, read_csv, write_csv

FORMULAS = [
    "=1+1",
    "+5",
    "-5",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "'=1",
    "''-x",
    "\uff1d1",
    '=HYPERLINK("http://evil")',
]
NAMES = [*FORMULAS, "NA", "nan", "None", "'quoted'", "a=b", "007", "1e5", "x,y", 'say "x"', "日本", "'"]


def test_no_cell_of_text_begins_as_a_formula_does(tmp_path):
    write_csv(pd.DataFrame({"name": NAMES, "=x": range(len(NAMES)), "value": -1.5}), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["name", "'=x", "value"]
    assert [row[0][0] in "=+-@\t\r\n\uff1d" for row in rows] == [False] * len(NAMES)
    assert [row[0] for row in rows][:3] == ["'=1+1", "'+5", "'-5"]
    assert {row[2] for row in rows} == {"-1.5"}


def test_names_come_back_as_they_were(tmp_path):
    frame = pd.DataFrame({"name": NAMES, "note": ["", *NAMES[1:]], "value": [None, *range(1, len(NAMES))]})
    write_csv(frame, tmp_path / "a.csv")
    found = read_csv(tmp_path / "a.csv", ["name", "absent"])
    assert found["name"].tolist() == NAMES
    assert found["note"].isna().tolist()[:2] == [True, False]
    assert found["note"].tolist()[1:8] == NAMES[1:8]
    assert found["value"].isna().tolist() == [True] + [False] * (len(NAMES) - 1)
    assert found["value"].dtype == "float64"


def test_a_table_of_nobody_s_is_read_as_well(tmp_path):
    (tmp_path / "a.csv").write_text("sample_id,arm,age\nNA,NA,3\n-1,treated,NA\n")
    found = read_csv(tmp_path / "a.csv", ["sample_id"])
    assert found["sample_id"].tolist() == ["NA", "-1"]
    assert found["arm"].isna().tolist() == [True, False]
    assert found["age"].tolist()[0] == 3
    assert found["age"].isna().tolist() == [False, True]


@given(st.text(alphabet="'=-+@\t\rab", max_size=6))
def test_every_text_survives(text):
    assert as_was(as_text(text)) == text
    assert not as_text(text)[:1] or as_text(text)[0] not in "=-+@\t\r"


@pytest.mark.parametrize("value", [-5, -1.5, None, True])
def test_what_is_no_text_stays(value):
    assert as_text(value) is value
    assert as_was(value) is value
