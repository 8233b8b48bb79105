import pytest

from datamodules.splits import SplitConfig, split_donors
from schema.errors import InputError, UsageError

STRATA = {f"m{stage}{i}": str(stage) for stage in range(4) for i in range(4)}


def test_named_donors_go_where_they_are_named():
    split = split_donors(STRATA, SplitConfig(val_donors=("m00",), test_donors=("m10", "m11")), seed=0)
    assert {d for d, s in split.items() if s == "val"} == {"m00"}
    assert {d for d, s in split.items() if s == "test"} == {"m10", "m11"}
    assert sum(s == "train" for s in split.values()) == 13


def test_validation_donors_are_drawn_from_every_stratum():
    split = split_donors(STRATA, SplitConfig(val_share=0.25), seed=0)
    assert sorted(STRATA[d] for d, s in split.items() if s == "val") == ["0", "1", "2", "3"]


def test_the_draw_follows_the_seed():
    assert split_donors(STRATA, SplitConfig(), 1) == split_donors(STRATA, SplitConfig(), 1)
    assert split_donors(STRATA, SplitConfig(), 1) != split_donors(STRATA, SplitConfig(), 2)


def test_a_donor_on_both_sides_is_refused():
    with pytest.raises(UsageError, match=r"one side of the split.*m00 in val_donors and in test_donors"):
        SplitConfig(val_donors=("m00",), test_donors="m00")


def test_an_unknown_donor_is_refused_with_its_neighbours():
    with pytest.raises(InputError, match=r"'mouse1' \(nearest: mouse 1"):
        split_donors({"mouse 1": "a", "mouse 2": "a"}, SplitConfig(test_donors=("mouse1",), val_share=0), seed=0)


def test_pooled_donors_are_never_drawn():
    strata = {"unknown": "a", "Pooled": "a", "m1": "a", "m2": "a"}
    for seed in range(10):
        split = split_donors(strata, SplitConfig(val_share=0.9), seed)
        assert split["unknown"] == split["Pooled"] == "train"


def test_one_donor_trains_without_validation():
    assert split_donors({"m1": "a"}, SplitConfig(), seed=0) == {"m1": "train"}


def test_nothing_left_to_train_on_is_refused():
    with pytest.raises(InputError, match="left to train"):
        split_donors({"m1": "a"}, SplitConfig(test_donors=("m1",)), seed=0)
