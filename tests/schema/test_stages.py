import pytest
import yaml

from schema.errors import InputError, UsageError
from schema.labels import UNLABELLED
from schema.names import normalise_name
from schema.stages import SCALES_FILE, StageLevel, StageScale

SCALE_IDS = [scale["id"] for scale in yaml.safe_load(SCALES_FILE.read_text())["scales"]]


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
    assert StageScale.from_dict(scale.to_dict()) == scale


def test_a_scale_that_means_two_levels_by_one_name_is_refused():
    with pytest.raises(ValueError, match="'late'"):
        StageScale("s", "s", "any", (StageLevel(id="a", name="late"), StageLevel(id="b", name="b", synonyms=("Late",))))
