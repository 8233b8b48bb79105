"""Every bad input of the catalogue, each in a process of its own with limits."""

from collections import Counter

import pytest

from benchmarks.faults.catalogue import INPUT_FAULTS
from benchmarks.faults.flips import flip_faults

CLASSES = {
    *("structure of a file", "reach outside the file", "values", "genes", "cells and samples", "10x folders and .h5"),
    "bundles",
}


def test_every_class_has_faults_and_every_fault_a_name_of_its_own():
    assert {fault.row for fault in INPUT_FAULTS} == CLASSES
    assert min(Counter(fault.row for fault in INPUT_FAULTS).values()) >= 15
    assert max(Counter((fault.row, fault.name) for fault in INPUT_FAULTS).values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", INPUT_FAULTS, ids=lambda fault: f"{fault.row}, {fault.name}")
def test_a_bad_input_gives_the_right_answer_or_one_line(sweep, fault):
    result = sweep.run(fault)
    assert result.problems == [], result.outcome.log


@pytest.mark.slow
@pytest.mark.parametrize("fault", list(flip_faults(6)), ids=lambda fault: fault.name)
def test_a_flipped_byte_crashes_nothing(sweep, fault):
    result = sweep.run(fault)
    assert result.problems == [], result.outcome.log
