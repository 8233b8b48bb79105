import pytest

from schema.stage_values import (
    AnatomicStage,
    age_in_weeks,
    day_after_inoculation,
    is_adjacent_tissue,
    is_bare_number,
    is_grade,
    is_tnm_category,
    read_anatomic,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("NAT", True),
        ("Normal_Adjacent", True),
        ("TumorAdjacent", True),
        ("normal adjaccent", True),
        ("paracancerous", True),
        ("juxta-tumoral", True),
        ("matched normal", True),
        ("uninvolved breast", True),
        ("normal", False),
        ("neoadjuvant", False),
        ("age-adjusted", False),
        ("natural history", False),
        ("parathyroid", False),
    ],
)
def test_adjacent_tissue(value, expected):
    assert is_adjacent_tissue(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("D14 post-inoculation", 14),
        ("21 days after tumor injection", 21),
        ("day14", 14),
        ("07", 7),
        ("day-14", None),
        ("\u22123", None),
        ("14.5", None),
        ("1e3", None),
        ("day", None),
        ("9999999", None),
        ("14 weeks", None),
    ],
)
def test_days(value, expected):
    assert day_after_inoculation(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("week 11", 11.0),
        ("11 weeks", 11.0),
        ("W11", 11.0),
        ("wk_08", 8.0),
        ("8-week", 8.0),
        ("week-8", 8.0),
        ("11.5 weeks of age", 11.5),
        ("aged 9 wks", 9.0),
        ("-8 weeks", None),
        ("4-6 weeks", None),
        ("11", None),
        ("weekly", None),
    ],
)
def test_ages(value, expected):
    assert age_in_weeks(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("pStage IIIA", ("p", "iii", "a")),
        ("ycStage 2b", ("yc", "ii", "b")),
        ("r III", ("r", "iii", "")),
        ("stage 0", ("", "0", "")),
        ("iv", ("", "iv", "")),
        ("3a", ("", "iii", "a")),
        ("3", None),
        ("p0", None),
        ("p3a", None),
        ("IIIA-IIIB", None),
        ("IIII", None),
        ("pT2", None),
        ("viii", None),
    ],
)
def test_anatomic_stages(value, expected):
    assert read_anatomic(value) == (None if expected is None else AnatomicStage(*expected))


@pytest.mark.parametrize(
    ("value", "human", "expected"),
    [
        ("G2", True, True),
        ("G2", False, False),
        ("GX", True, True),
        ("G III", True, True),
        ("G0", True, False),
        ("G5", True, False),
        ("grade 2", False, True),
        ("Poorly differentiated", True, True),
        ("gestation", True, False),
    ],
)
def test_grades(value, human, expected):
    assert is_grade(value, human=human) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("pT1c", True),
        ("T2N1miM0", True),
        ("cT4d, N3, M0", True),
        ("ypTis", True),
        ("Tis tumour", False),
        ("IIIA", False),
    ],
)
def test_tnm_categories(value, expected):
    assert is_tnm_category(value) is expected


@pytest.mark.parametrize(("value", "expected"), [("14", True), (3.0, True), ("-3", True), ("d3", False), ("", False)])
def test_bare_numbers(value, expected):
    assert is_bare_number(value) is expected
