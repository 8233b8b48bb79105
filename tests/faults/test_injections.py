"""Bad days of a machine, a few of those of `make reliability`: real scripts, disturbed while they work."""

import pytest

from benchmarks.faults import machine, outputs, report, tracking, training
from benchmarks.faults.injection import Injection
from benchmarks.faults.injections import INJECTIONS
from benchmarks.faults.materials import make_materials

pytestmark = pytest.mark.slow

CHOSEN = [
    Injection(row="outputs", name="kill -9 at six random moments", expected="old or new", run=outputs.kills(6)),
    Injection(row="outputs", name="a full disk", expected="exit 5", run=outputs.full_disk(1.001)),
    Injection(row="outputs", name="two writers", expected="one wins", run=outputs.two_writers),
    Injection(row="machine", name="nobody reads", expected="the results", run=machine.without("cut")),
    Injection(row="machine", name="little memory", expected="exit 6", run=machine.too_little_memory),
    Injection(row="training", name="three signals", expected="143", run=training.stopped(*[training.TERM] * 2)),
    Injection(row="training", name="a damaged checkpoint", expected="the one before", run=training.damaged_last),
    Injection(row="training", name="a full disk", expected="exit 5", run=training.full_disk),
    Injection(row="tracking", name="planted secrets", expected="nowhere", run=tracking.nothing_is_told),
    Injection(row="names in reports", name="samples", expected="text", run=report.named("sample_id")),
]


@pytest.fixture(scope="module")
def materials(tmp_path_factory):
    return make_materials(tmp_path_factory.mktemp("materials"))


@pytest.mark.parametrize("injection", CHOSEN, ids=lambda injection: f"{injection.row}: {injection.name}")
def test_a_bad_day_ends_as_it_must(injection, materials, tmp_path):
    happening = injection.run(materials, tmp_path)
    assert happening.problems == [], happening


def test_each_bad_day_has_a_name_of_its_own():
    names = [(injection.row, injection.name) for injection in INJECTIONS]
    assert len(set(names)) == len(names) > 40
