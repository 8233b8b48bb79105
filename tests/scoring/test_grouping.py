import numpy as np
import pandas as pd
import pytest

from schema.errors import InputError, UsageError
from scoring.grouping import GroupingConfig, group_samples, join_metadata, read_tables


def table(n=4, **columns):
    return pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(n)],
            "burden_percent": np.arange(n) + 1.0,
            "burden_denominator": "all cells",
            "assessability": "assessable",
            "n_cells": 500,
            "n_low_counts": 0,
        }
        | columns
    )


def group(values, by="tumor_stage", **options):
    return group_samples(table(len(values), **{by: values}), GroupingConfig(by=by, **options))


def test_stages_are_ordered_by_their_scale():
    grouped = group(["late carcinoma", "M0", "Adenoma", "normal"])
    assert grouped.groups == ("normal", "adenoma", "late carcinoma")
    assert grouped.scale.id == "mouse_carcinogenesis"
    assert grouped.samples["group"].tolist() == ["late carcinoma", "normal", "adenoma", "normal"]


def test_stages_of_people_find_their_scale():
    assert group(["IIA", "stage 0", "IV", "unknown"]).groups == ("0", "IIA", "IV")


def test_arms_have_no_order_even_where_their_names_are_stages():
    grouped = group(["tumor", "healthy", "tumor", "healthy"], by="arm")
    assert (grouped.groups, grouped.is_ordered) == (("healthy", "tumor"), False)
    assert group(["tumor", "healthy"], by="arm", scale="healthy_vs_tumor").groups == ("healthy", "tumor")


@pytest.mark.parametrize("values", [["pubertal", "gestation", "lactation"], ["normal", "adenoma", "lactation"]])
def test_gland_development_is_refused_by_name(values):
    with pytest.raises(InputError, match="two axes: got the scale mouse_gland_development"):
        group(values)


@pytest.mark.parametrize("scale", ["mouse_gland_development", "mouse_days_after_inoculation"])
def test_a_scale_of_another_axis_is_refused_by_name(scale):
    with pytest.raises(InputError, match=f"got the scale {scale}"):
        group(["day 7", "day 14"], by="time", scale=scale)


def test_groups_of_development_may_be_compared_without_an_order():
    assert group(["pubertal", "lactation"], scale="none").groups == ("lactation", "pubertal")


def test_the_stage_that_has_seen_the_neutrophils_is_refused():
    with pytest.raises(UsageError, match="predicted_tumor_stage_without_neutrophils"):
        group(["normal", "adenoma"], by="predicted_tumor_stage")
    assert group(["normal", "adenoma"], by="predicted_tumor_stage_without_neutrophils").is_ordered


def test_a_value_that_is_no_stage_is_named():
    with pytest.raises(InputError, match=r"'adenomma'.*nearest: adenoma"):
        group(["normal", "adenomma"])


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(UsageError, match=r"'arms' \(nearest: arm"):
        group_samples(table(arm="a"), GroupingConfig(by="arms"))


def test_numbers_are_names_of_groups():
    assert group([0.0, 14.0, np.nan, 7.0], by="day").groups == ("0", "14", "7")


def test_metadata_are_joined_by_sample(tmp_path, caplog):
    path = tmp_path / "meta.csv"
    pd.DataFrame({"sample_id": ["s2", "s0", "other"], "arm": ["b", "a", "c"]}).to_csv(path, index=False)
    joined = join_metadata(table(), path)
    assert joined["sample_id"].tolist() == ["s0", "s1", "s2", "s3"]
    assert joined["arm"].fillna("").tolist() == ["a", "", "b", ""]
    assert "2 of 4 samples are not in meta.csv" in caplog.text
    grouped = group_samples(joined, GroupingConfig(by="arm"))
    assert grouped.groups == ("a", "b")


def test_sample_names_that_look_like_numbers_are_joined_as_text(tmp_path):
    (tmp_path / "samples.csv").write_text(table(sample_id=["001", "1", "2", "NA"]).to_csv(index=False))
    (tmp_path / "meta.csv").write_text("sample_id,arm\n001,a\n1,b\n2,a\nNA,b\n")
    joined = join_metadata(read_tables([tmp_path / "samples.csv"]), tmp_path / "meta.csv")
    assert joined[["sample_id", "arm"]].to_numpy().tolist() == [["001", "a"], ["1", "b"], ["2", "a"], ["NA", "b"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,arm\ns0,a\n", "joined by sample_id: got columns name, arm in meta.csv"),
        ("sample_id,arm\nx,a\n", "none of 4 samples"),
        ("sample_id,arm\ns0,a\ns0,b\n", "'s0' twice in meta.csv"),
        ("", "EmptyDataError in meta.csv"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(tmp_path, text, message):
    (tmp_path / "meta.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        join_metadata(table(), tmp_path / "meta.csv")


def test_tables_of_several_predictions_are_one(tmp_path):
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    table(2).to_csv(paths[0], index=False)
    table(2, sample_id=["t0", "t1"]).to_csv(paths[1], index=False)
    assert read_tables(paths)["sample_id"].tolist() == ["s0", "s1", "t0", "t1"]
    with pytest.raises(InputError, match="'s0' twice"):
        read_tables([paths[0], paths[0]])


def test_a_table_that_is_no_samples_csv_is_refused(tmp_path):
    table().drop(columns="burden_denominator").to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(InputError, match=r"none named burden_denominator in s\.csv"):
        read_tables([tmp_path / "s.csv"])
    with pytest.raises(InputError, match="FileNotFoundError"):
        read_tables([tmp_path / "none.csv"])
