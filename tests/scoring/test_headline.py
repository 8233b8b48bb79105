import pandas as pd

from scoring.headline import burden_headline, stage_headline


def samples(burden, assessability, stage, without=None, **columns):
    return pd.DataFrame(
        {
            "burden_name": "NBS-1.0",
            "detection": "detected",
            "lod_percent": 0.4,
            "burden_percent": burden,
            "burden_low": [0.5 * value for value in burden],
            "burden_high": [2 * value for value in burden],
            "assessability": assessability,
            "predicted_tumor_stage": stage,
            "predicted_tumor_stage_without_neutrophils": stage if without is None else without,
        }
        | columns
    )


def test_several_samples(scale):
    table = samples([2.0, 30.0, float("nan")], ["assessable", "low_confidence", "not_assessable"], ["adenoma"] * 3)
    assert burden_headline(table) == (
        "Neutrophil burden could be assessed in 2 of 3 samples and ranges from 2.0 % to 30.0 % (median 16.0 %)."
    )
    assert stage_headline(table, scale) == "Predicted stages, with number of samples: adenoma (3)."


def test_one_sample(scale):
    table = samples([4.0], ["assessable"], ["late carcinoma"])
    assert burden_headline(table) == "Neutrophil burden is 4.0 % (95 % interval 2.0 to 8.0 %)."
    assert stage_headline(table, scale) == "Predicted stage: late carcinoma."


def test_below_the_limit_of_detection_no_number_is_given():
    table = samples([0.1, 30.0], ["low_confidence"] * 2, [""] * 2, detection=["< LOD", "detected"])
    assert burden_headline(table) == (
        "Neutrophil burden could be assessed in 2 of 2 samples and ranges from < LOD (0.40 %) to 30.0 % "
        "(median 15.1 %); 1 below the limit of detection."
    )
    one = samples([0.1], ["low_confidence"], [""], detection=["< LOD"])
    assert burden_headline(one) == "Neutrophil burden is < LOD (0.40 %) (95 % interval 0.05 to 0.20 %)."


def test_percentages_of_other_cells_are_not_pooled():
    names = ["NBS-1.0", "NBS-1.0/CD45", "NBS-1.0"]
    table = samples([2.0, 60.0, 4.0], ["assessable"] * 3, [""] * 3, burden_name=names)
    assert burden_headline(table) == (
        "Neutrophil burden could be assessed in 2 of 2 samples and ranges from 2.0 % to 4.0 % (median 3.0 %). "
        "Neutrophil burden among CD45+ cells (NBS-1.0/CD45) could be assessed in 1 of 1 samples and ranges "
        "from 60.0 % to 60.0 % (median 60.0 %)."
    )


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
