import json

import pytest
import yaml

from schema.errors import InputError, UsageError
from schema.labels import UNLABELLED
from schema.names import normalise_name
from schema.stage_levels import AgeRange, StrainAges
from schema.stages import SCALES_FILE, StageLevel, StageScale

SCALE_IDS = [scale["id"] for scale in yaml.safe_load(SCALES_FILE.read_text())["scales"]]
MOUSE, GLAND, AJCC = "mouse_carcinogenesis", "mouse_gland_development", "human_ajcc_anatomic"
DAYS, JOINED = "mouse_days_after_inoculation", "harmonised_progression"


def code(scale_id, value, **known):
    return StageScale.load(scale_id).code(value, "a.h5ad, obs (stage)", **known)


def refusal(scale_id, value, **known):
    """Return the text of the error; it is one line, shows the value and where it stood."""
    with pytest.raises(InputError) as caught:
        code(scale_id, value, **known)
    text = str(caught.value)
    assert "\n" not in text
    assert repr(str(value)) in text
    assert "a.h5ad, obs (stage)" in text
    return text


def test_levels_are_ordered_from_normal_to_late():
    scale = StageScale.load("mouse_carcinogenesis")
    assert [level.id for level in scale.levels] == ["M0", "M1", "M2", "M3", "M4", "M5"]
    assert [level.name for level in scale.levels][:5] == [
        "normal",
        "hyperplasia",
        "adenoma",
        "early carcinoma",
        "late carcinoma",
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [("normal", 0), ("M0", 0), ("Early_Carcinoma", 3), ("MIN", 2), ("late tumour", 4), ("late tumor", 4), ("EC", 3)],
)
def test_ids_names_and_synonyms_have_a_code(value, code):
    assert StageScale.load("mouse_carcinogenesis").code(value, "f") == code


@pytest.mark.parametrize("value", ["", "nan", "Unknown", "N/A", None, float("nan")])
def test_what_is_not_known_is_unlabelled(value):
    assert StageScale.load("mouse_carcinogenesis").code(value, "f") == UNLABELLED == -1


def test_a_value_of_no_level_is_refused_with_the_nearest_and_all_levels():
    with pytest.raises(InputError, match=r"'adenomas' \(nearest: adenoma.*in a.h5ad.*normal, hyperplasia") as caught:
        StageScale.load("mouse_carcinogenesis").code("adenomas", "a.h5ad")
    assert caught.value.exit_code == 3


def test_gland_development_and_carcinogenesis_never_share_an_axis():
    with pytest.raises(InputError):
        StageScale.load("mouse_carcinogenesis").code("lactation", "f")
    assert StageScale.load("mouse_gland_development").code("lactation", "f") == 5


def test_a_scale_that_is_not_known_is_refused_by_name():
    with pytest.raises(UsageError, match=r"got 'mouse' .*mouse_carcinogenesis, mouse_gland_development"):
        StageScale.load("mouse")


@pytest.mark.parametrize("scale_id", SCALE_IDS)
def test_every_scale_names_each_level_once_and_survives_its_dict(scale_id):
    scale = StageScale.load(scale_id)
    names = [{normalise_name(name) for name in (level.id, level.name, *level.synonyms)} for level in scale.levels]
    assert sum(map(len, names)) == len(set().union(*names))
    assert StageScale.from_dict(json.loads(json.dumps(scale.to_dict()))) == scale


def test_a_scale_that_means_two_levels_by_one_name_is_refused():
    with pytest.raises(ValueError, match="'late'"):
        StageScale("s", "s", "any", (StageLevel(id="a", name="late"), StageLevel(id="b", name="b", synonyms=("Late",))))


def test_the_scales_of_the_project():
    assert {i: [level.id for level in StageScale.load(i).levels] for i in SCALE_IDS} == {
        "mouse_carcinogenesis": ["M0", "M1", "M2", "M3", "M4", "M5"],
        "mouse_gland_development": ["G0", "G1", "G2", "G3", "G4", "G5", "G6"],
        "human_ajcc_anatomic": ["AJCC0", "AJCC1A", "AJCC1B", "AJCC2A", "AJCC2B", "AJCC3A", "AJCC3B", "AJCC3C", "AJCC4"],
        "healthy_vs_tumor": ["HT0", "HT1"],
        "mouse_days_after_inoculation": ["INOC0", "INOC1", "INOC2", "INOC3", "INOC4"],
        "harmonised_progression": ["H0", "H1", "H2", "H3", "H4"],
    }


def test_a_scale_written_before_there_were_axes_is_read():
    content = {"id": "s", "name": "s", "species": "any", "levels": [{"id": "a", "name": "b", "synonyms": []}]}
    scale = StageScale.from_dict(content)
    assert scale == StageScale("s", "s", "any", (StageLevel(id="a", name="b"),))
    assert scale.axis == "disease"


def test_a_scale_is_written_without_what_it_does_not_have():
    levels = (StageLevel(id="a", name="b"), StageLevel(id="c", name="d", synonyms=("e",), days=(1, 2)))
    strains = (StrainAges(id="B6", ages=(AgeRange(level="a", first=4),)),)
    assert StageScale("s", "t", "mouse", levels, "time", strains).to_dict() == {
        "id": "s",
        "name": "t",
        "species": "mouse",
        "axis": "time",
        "levels": [
            {"id": "a", "name": "b", "synonyms": []},
            {"id": "c", "name": "d", "synonyms": ["e"], "days": [1, 2]},
        ],
        "strains": [{"id": "B6", "synonyms": [], "ages": [{"level": "a", "first": 4}]}],
    }


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("scale", {"grade": "high"}),
        ("scale", {"levels": None}),
        ("scale", {"strains": [{"id": "FVB", "synonyms": []}]}),
        ("scale", {"strains": [{"id": "FVB", "synonyms": [], "ages": [{"level": "a", "from": 4}]}]}),
        ("scale", {"strains": [{"id": "FVB", "synonyms": [], "ages": [{"level": "z", "first": 4}]}]}),
        ("level", {"colour": "red"}),
        ("level", {"synonyms": "abc"}),
        ("level", {"days": [3, 1]}),
        ("level", {"days": [-1, 1]}),
        ("level", {"members": ["M0"]}),
    ],
)
def test_a_scale_with_other_keys_or_values_is_refused(part, change):
    level = {"id": "a", "name": "b", "synonyms": []} | (change if part == "level" else {})
    content = {"id": "s", "name": "s", "species": "any", "axis": "disease", "levels": [level]}
    content |= change if part == "scale" else {}
    with pytest.raises((KeyError, TypeError, ValueError)):
        StageScale.from_dict(content)


def test_a_level_without_its_synonyms_is_refused():
    with pytest.raises(KeyError, match="synonyms"):
        StageScale.from_dict({"id": "s", "name": "s", "species": "any", "levels": [{"id": "a", "name": "b"}]})


def test_two_levels_never_hold_one_day():
    levels = (StageLevel(id="a", name="a", days=(0, 9)), StageLevel(id="b", name="b", days=(3, 4)))
    with pytest.raises(ValueError, match="days"):
        StageScale("s", "s", "mouse", levels)


@pytest.mark.parametrize(
    ("names", "members", "axis", "message"),
    [
        (("low", "high"), (("a",), ("b",)), "gland development", "one of another"),
        (("low", "high"), (("a",), ()), "disease", "once"),
        (("low", "high"), (("a", "b"), ("b",)), "disease", "once"),
        (("late", "high"), (("a",), ("b",)), "disease", "'late' to mean one level"),
    ],
)
def test_scales_are_joined_whole_on_one_axis_and_with_one_meaning(names, members, axis, message):
    source = StageScale("p", "p", "mouse", (StageLevel(id="a", name="early"), StageLevel(id="b", name="late")), axis)
    levels = tuple(StageLevel(id=n[0], name=n, members=m) for n, m in zip(names, members, strict=True))
    with pytest.raises(ValueError, match=message):
        StageScale("s", "s", "any", levels, "disease", (), (source,))


@pytest.mark.parametrize(
    "value",
    [
        "normal-adjacent",
        "Adjacent normal",
        "tumor adjacent",
        "NAT",
        "peritumoral",
        "peri-tumoural",
        "para_tumor",
        "adj. WT",
    ],
)
@pytest.mark.parametrize("scale_id", SCALE_IDS)
def test_tissue_beside_a_tumour_is_healthy_on_no_scale(scale_id, value):
    text = refusal(scale_id, value, strain="FVB", species="human")
    assert text.startswith("tissue beside a tumour is not healthy")
    assert "leave the stage of these samples blank" in text


def test_no_synonym_makes_adjacent_tissue_healthy():
    scale = StageScale("s", "s", "any", (StageLevel(id="a", name="healthy", synonyms=("normal adjacent",)),))
    with pytest.raises(InputError, match="tissue beside a tumour is not healthy"):
        scale.code("normal adjacent", "f")


@pytest.mark.parametrize("scale_id", [MOUSE, AJCC, JOINED, DAYS, "healthy_vs_tumor"])
@pytest.mark.parametrize("value", ["lactation", "G0", "pubertal (TEB)", "involution"])
def test_gland_development_is_another_axis(scale_id, value):
    text = refusal(scale_id, value)
    assert text.startswith("gland development is another axis than ")
    assert "data.stage_scale: mouse_gland_development" in text


@pytest.mark.parametrize(("scale_id", "value"), [(GLAND, "late carcinoma"), (DAYS, "M3"), (DAYS, "IIIA")])
def test_disease_is_another_axis_than_gland_development_and_time(scale_id, value):
    assert refusal(scale_id, value).startswith("disease is another axis than ")


def test_days_are_another_axis_than_histology():
    assert refusal(MOUSE, "day 14").startswith("time after inoculation is another axis than disease")
    assert refusal(MOUSE, "14").startswith("every stage must be a level of the scale mouse_carcinogenesis: got '14' in")


@pytest.mark.parametrize("value", ["day 14", "14", "d14", "14 d", "14 days", "Day_14", "14 dpi", 14, 14.0])
def test_days_are_read_by_number(value):
    assert code(DAYS, value) == 2


def test_each_day_lies_in_the_level_whose_range_holds_it():
    days = [0, 1, 7, 10, 11, 17, 18, 21, 24, 25, 60]
    assert [code(DAYS, day) for day in days] == [0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4]
    assert code(DAYS, "not inoculated") == 0


@pytest.mark.parametrize("value", ["61", "day 61", "-3", "day -3", "D-3", "7.5", "week 2", "7-14"])
def test_what_counts_no_day_of_the_scale_is_refused(value):
    assert "whole number of days after inoculation (0-60)" in refusal(DAYS, value, strain="FVB")


@pytest.mark.parametrize("strain", ["FVB", "fvb/n", "FVB/N-Tg(MMTV-PyVT)634Mul/J"])
@pytest.mark.parametrize(("value", "expected"), [("week 7", 2), ("5 weeks", 1), ("W04", 1), ("9.5 wk old", 3)])
def test_an_age_in_one_range_of_a_known_strain_is_a_stage(strain, value, expected):
    assert code(MOUSE, value, strain=strain) == expected


@pytest.mark.parametrize(
    ("value", "candidates"),
    [
        ("week 11", "early carcinoma, late carcinoma"),
        ("W06", "hyperplasia, adenoma"),
        ("12 weeks", "early carcinoma, late carcinoma, overt metastasis"),
        ("20 weeks", "late carcinoma, overt metastasis"),
    ],
)
def test_an_age_in_several_ranges_is_refused_with_the_candidates(value, candidates):
    assert f"got '{value}' of strain 'FVB', which may be {candidates}," in refusal(MOUSE, value, strain="FVB")


def test_the_ages_of_fvb_overlap():
    codes = [StageScale.load(MOUSE).codes(f"week {week}", strain="FVB") for week in range(3, 14)]
    assert codes == [[], [1], [1], [1, 2], [2], [2, 3], [2, 3], [3, 4], [3, 4], [3, 4, 5], [4, 5]]


@pytest.mark.parametrize("scale_id", [MOUSE, JOINED])
@pytest.mark.parametrize("strain", ["", "unknown", "nan"])
def test_an_age_without_a_strain_is_refused_and_says_what_to_do(scale_id, strain):
    text = refusal(scale_id, "week 7", strain=strain)
    assert text.startswith("an age says a stage only where the strain is known, because strains differ by weeks")
    assert "data.columns.strain" in text


@pytest.mark.parametrize(
    ("strain", "why"),
    [("C57BL/6J", ", which progresses several weeks later than FVB,"), ("BALB/c", ""), ("FVB x C57BL/6", "")],
)
def test_an_age_of_a_strain_without_known_ages_is_refused(strain, why):
    text = refusal(MOUSE, "week 7", strain=strain)
    assert text.startswith("an age says a stage only for strains whose ages are known (FVB)")
    assert f"of strain '{strain}'{why} in a.h5ad" in text


def test_an_age_at_which_no_stage_is_usual_is_refused():
    assert "M1 from 4 to 6" in refusal(MOUSE, "week 3", strain="FVB")


def test_a_strain_says_nothing_where_the_stage_is_named():
    assert code(MOUSE, "M3", strain="C57BL/6") == 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("pStage IIIA", 5),
        ("Stage IIIA", 5),
        ("stage 3a", 5),
        ("IIIa", 5),
        ("iii-a", 5),
        ("cIIB", 4),
        ("AJCC stage: IC", None),
        ("AJCC Stage IB", 2),
        ("pathologic stage iia", 3),
        ("Ⅲc", 7),
        ("Stage 4", 8),
        ("IV", 8),
        ("0", 0),
        ("Tis", 0),
    ],
)
def test_anatomic_stages_are_read_as_people_write_them(value, expected):
    if expected is None:
        assert refusal(AJCC, value).startswith("every stage must be a level")
    else:
        assert code(AJCC, value) == expected


@pytest.mark.parametrize(
    ("value", "candidates"),
    [("stage III", "IIIA, IIIB, IIIC"), ("III", "IIIA, IIIB, IIIC"), ("pStage 2", "IIA, IIB"), ("I", "IA, IB")],
)
def test_an_anatomic_stage_without_its_substage_is_refused_with_the_candidates(value, candidates):
    assert f"which may be {candidates}," in refusal(AJCC, value)


@pytest.mark.parametrize("scale_id", [AJCC, JOINED])
@pytest.mark.parametrize(("value", "why"), [("ypStage IIA", "after therapy (y)"), ("rIV", "of a recurrence (r)")])
def test_stages_after_therapy_and_of_recurrences_are_refused(scale_id, value, why):
    assert why in refusal(scale_id, value)


@pytest.mark.parametrize(("scale_id", "species"), [(AJCC, None), (AJCC, "human"), (JOINED, "human")])
def test_grades_and_tnm_categories_are_no_stage_of_people(scale_id, species):
    for value in ("G2", "g 3", "grade 2", "Nottingham grade III", "well differentiated"):
        assert refusal(scale_id, value, species=species).startswith("a grade is not a stage")
    for value in ("pT2", "T2 N0 M0", "ypT1c", "M1"):
        assert refusal(scale_id, value, species=species).startswith("a T, N or M category is not a stage")


def test_g2_is_a_grade_only_where_people_are_meant():
    assert code(GLAND, "G2") == 2
    assert refusal(JOINED, "G2", species="mouse").startswith("gland development is another axis")


def test_a_bare_number_is_no_anatomic_stage():
    assert "got '3' in" in refusal(AJCC, "3")


@pytest.mark.parametrize(
    ("value", "species", "expected"),
    [
        ("M0", "mouse", 0),
        ("normal", "mouse", 0),
        ("reduction mammoplasty", "human", 0),
        ("hyperplasia", None, 1),
        ("MIN", "mouse", 1),
        ("DCIS", "human", 1),
        ("early tumour", "mouse", 2),
        ("AJCC2A", "human", 2),
        ("I", "human", 2),
        ("pStage IIB", "human", 3),
        ("stage III", "human", 3),
        ("lc", "mouse", 3),
        ("met", "mouse", 4),
        ("stage iv", None, 4),
        ("H3", "mouse", 3),
        ("pre-invasive", "human", 1),
    ],
)
def test_mouse_and_human_stages_meet_on_the_harmonised_scale(value, species, expected):
    assert code(JOINED, value, species=species) == expected


def test_every_level_of_mouse_and_human_has_its_place_on_the_harmonised_scale():
    levels = {level.id: level.members for level in StageScale.load(JOINED).levels}
    assert levels == {
        "H0": ("M0",),
        "H1": ("M1", "M2", "AJCC0"),
        "H2": ("M3", "AJCC1A", "AJCC1B", "AJCC2A"),
        "H3": ("M4", "AJCC2B", "AJCC3A", "AJCC3B", "AJCC3C"),
        "H4": ("M5", "AJCC4"),
    }


def test_a_coarse_stage_that_falls_into_two_harmonised_levels_is_refused():
    assert "which may be early invasive, advanced local," in refusal(JOINED, "Stage II", species="human")


@pytest.mark.parametrize(
    ("value", "species", "source"), [("adenoma", "human", MOUSE), ("IIIA", "mouse", AJCC), ("0", "mouse", AJCC)]
)
def test_names_of_the_other_species_are_refused_on_the_harmonised_scale(value, species, source):
    text = refusal(JOINED, value, species=species)
    assert text.startswith(f"a stage must be one of the species of its file ({species})")
    assert f"a level of {source}" in text


def test_an_age_whose_stages_are_one_on_the_harmonised_scale_is_read():
    assert code(JOINED, "week 6", strain="FVB", species="mouse") == 1
    assert "early invasive, advanced local" in refusal(JOINED, "week 11", strain="FVB")
    text = refusal(JOINED, "week 6", strain="FVB", species="human")
    assert text.startswith("every stage must be a level of the scale harmonised_progression")


def test_a_misspelt_name_of_a_joined_scale_has_its_nearest():
    assert "nearest: adenoma" in refusal(JOINED, "adenomma", species="mouse")


def test_a_value_of_another_scale_of_the_same_axis_names_that_scale():
    assert "(a level of human_ajcc_anatomic, harmonised_progression)" in refusal(MOUSE, "IIIA")


def test_a_long_value_is_cut_in_the_error():
    with pytest.raises(InputError) as caught:
        code(MOUSE, "x" * 500)
    assert "x" * 50 in str(caught.value)
    assert len(str(caught.value)) < 400


def test_only_scales_with_strains_take_ages():
    assert [i for i in SCALE_IDS if StageScale.load(i).takes_ages] == [MOUSE, JOINED]
    assert AgeRange(level="M4", first=10).holds(30)
    assert not AgeRange(level="M3", first=8, last=12).holds(12.5)
    assert StrainAges.from_dict({"id": "B6", "synonyms": [], "ages": []}) == StrainAges(id="B6")
