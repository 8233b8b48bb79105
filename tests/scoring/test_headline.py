import pandas as pd

from scoring.headline import burden_headline, stage_headline


def samples(burden, assessability, stage, without=None):
    return pd.DataFrame(
        {
            "burden_percent": burden,
            "burden_low": [0.5 * value for value in burden],
            "burden_high": [2 * value for value in burden],
            "assessability": assessability,
            "predicted_tumor_stage": stage,
            "predicted_tumor_stage_without_neutrophils": stage if without is None else without,
        }
    )


def test_several_samples(scale):
    table = samples([2.0, 30.0, float("nan")], ["assessable", "low_confidence", "not_assessable"], ["adenoma"] * 3)
    assert burden_headline(table) == (
        "Neutrophil burden could be assessed in 2 of 3 samples and ranges from 2.0 to 30.0 % (median 16.0 %)."
    )
    assert stage_headline(table, scale) == "Predicted stages, with number of samples: adenoma (3)."


def test_one_sample(scale):
    table = samples([4.0], ["assessable"], ["late carcinoma"])
    assert burden_headline(table) == "Neutrophil burden is 4.0 % (95 % interval 2.0 to 8.0 %)."
    assert stage_headline(table, scale) == "Predicted stage: late carcinoma."


def test_nothing_can_be_assessed(scale):
    table = samples([float("nan")], ["not_assessable"], [""])
    assert "could not be assessed" in burden_headline(table)
    assert "0" not in burden_headline(table)
    assert stage_headline(table, scale) == "No stage was predicted."


def test_the_stage_without_neutrophils_stands_in_where_the_other_is_refused(scale):
    one = samples([1.0], ["assessable"], [""], ["adenoma"])
    assert (
        stage_headline(one, scale) == "Predicted stage without neutrophils: adenoma. None was predicted from all cells."
    )
    three = samples([1.0] * 3, ["assessable"] * 3, [""] * 3, ["adenoma", "", "normal"])
    assert stage_headline(three, scale) == (
        "Predicted stages without neutrophils, with number of samples: normal (1), adenoma (1). "
        "None was predicted from all cells."
    )


def test_stages_are_listed_lowest_first(scale):
    table = samples([1.0] * 3, ["assessable"] * 3, ["late carcinoma", "normal", "late carcinoma"])
    assert stage_headline(table, scale).endswith("normal (1), late carcinoma (2).")
