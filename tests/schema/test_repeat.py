import json
from dataclasses import dataclass, field

import pytest

from schema.errors import InputError, UsageError
from schema.repeat import EarlierRun


@dataclass(frozen=True)
class Inner:
    seed: int = 0


@dataclass(frozen=True)
class Options:
    output: str = "out"
    size: int = 1
    inner: Inner = field(default_factory=Inner)


CONTENT = {
    "options": {"output": "then", "size": 2, "inner": {"seed": 3}},
    "bundle_digest": "abc",
    "input": {"name": "a.h5ad", "sha256": "1"},
    "device": "cpu",
    "threads": 1,
    "program": {"numpy": "2.0"},
}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(CONTENT | {"warnings": []}))
    return EarlierRun.read(tmp_path / "run.json")


def test_options_are_taken_but_for_ones_own(run):
    assert run.config(Options(output="now"), ("output",)) == Options("now", 2, Inner(3))


def test_the_same_option_given_twice_is_fine(run):
    assert run.config(Options(size=2), ("output",)).size == 2


@pytest.mark.parametrize("given", [Options(size=5), Options(inner=Inner(4))])
def test_another_option_is_refused(run, given):
    with pytest.raises(UsageError, match=r"takes the options that it had: got another (size|inner)"):
        run.config(given, ("output",))


def test_another_input_or_bundle_is_refused(run):
    run.check("abc", CONTENT["input"], CONTENT["program"])
    with pytest.raises(InputError, match="another bundle"):
        run.check("xyz", CONTENT["input"], CONTENT["program"])
    with pytest.raises(InputError, match="another input"):
        run.check("abc", CONTENT["input"] | {"sha256": "2"}, CONTENT["program"])


def test_other_versions_are_warned_of(run, caplog):
    run.check("abc", CONTENT["input"], {"numpy": "2.1"})
    assert "Other versions than in run.json: numpy" in caplog.text


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_what_is_no_run_json_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"in x\.json"):
        EarlierRun.read(tmp_path / "x.json")


def test_an_option_that_was_not_there_then_is_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(CONTENT | {"options": {"size": 2}}))
    with pytest.raises(InputError, match="no option inner"):
        EarlierRun.read(tmp_path / "run.json").config(Options(), ("output",))
