import numpy as np

from benchmarks.check_cost import _pack_unchecked
from benchmarks.faults.fault import answers, answers_or, refused, same
from benchmarks.faults.trial import Outcome
from benchmarks.reliability_page import flips, flips_verdict, page, plain
from datamodules.pack import large_room, pack_rows
from datamodules.space import RowSpace

FAULTS = [
    {"row": "values", "name": "NaN", "expected": "exit 3: NaN", "code": 3, "line": "error: got a|b", "problems": []},
    {"row": "genes", "name": "none", "expected": "exit 3", "code": 1, "line": "a bug", "problems": ["exit 1"]},
]
FLIPS = [
    {"row": "values", "name": f"byte flip {number} in a bundle", "code": code, "line": "", "problems": []}
    for number, code in enumerate((0, 4, 4))
]
RESULTS = {"command": "make reliability", "date": "today", "commit": "abc", "hardware": "a machine", "seed": 1}


def test_the_page_has_a_row_for_each_and_says_what_went_wrong():
    text = page(RESULTS | {"quick": False, "faults": FAULTS, "flips": FLIPS, "injections": []})
    assert "| NaN | exit 3: NaN | 3 | error: got a\\|b |" in text
    assert "| none | exit 3 | 1 | **exit 1** |" in text
    assert "| values | 4 | 0 |\n| genes | 1 | 1 |\n| all | 5 | 1 |" in text
    assert "a bundle: 1 an answer, 2 exit 4" in text
    assert "No signal, no traceback, no hang." in text
    assert "a quick run" not in text.lower()


def test_a_flip_that_did_harm_is_named():
    assert flips_verdict([*FLIPS, FLIPS[0] | {"problems": ["hung"]}]) == (
        "**Not as expected: byte flip 0 in a bundle (hung).**"
    )


def test_what_files_are_called_is_no_markup():
    assert plain("<b>|`x`*") == "\\<b>\\|\\`x\\`\\*"
    assert len(plain("a" * 999)) == 160
    assert flips(FLIPS) == "a bundle: 1 an answer, 2 exit 4"


def test_expectations_say_what_they_are():
    assert str(same("by symbol")) == "the same answer and says: by symbol"
    assert str(refused("NaN", "X")) == "exit 3: NaN, X"
    assert str(answers()) == "an answer"
    assert str(answers_or(4)) == "an answer, or exit 4"


def test_what_no_run_may_do_is_seen(tmp_path):
    def faults(code=3, log="predict.py: error: a\n", out=""):
        return Outcome(code, log, out, 1.0).faults(tmp_path / "bad.h5ad")

    assert faults() == []
    assert faults(code=0, log="", out="path\n") == []
    assert faults(code=None) == ["hung"]
    assert faults(code=-11, log="") == ["died of signal 11"]
    assert faults(log="Traceback\npredict.py: error: a\n") == ["a traceback"]
    assert faults(log="") == ["0 lines of error"]
    assert faults(log="predict.py: error: a\npredict.py: error: b\n") == ["2 lines of error"]
    assert faults(log="predict.py: error: a\nmore\n") == ["1 lines of error"]
    assert faults(out="path\n") == ["results named on stdout"]
    assert faults(log=f"predict.py: error: in {tmp_path}/bad.h5ad\n") == ["an absolute path"]
    assert faults(log="x.py:3: UserWarning: old\npredict.py: error: a\n") == ["noise of a library"]


def test_packing_without_checks_does_the_same_work():
    rng, n = np.random.default_rng(0), 40
    indices = np.concatenate([np.sort(rng.choice(90, n, replace=False)) for _ in range(3)]).astype(np.int32)
    values, edges = rng.integers(1, 9, 3 * n).astype(np.float32), np.arange(4) * n
    spaces = [RowSpace(np.zeros(3 * n, np.uint16), np.zeros(3 * n, np.uint8), 3) for _ in range(2)]
    for kernel, space in zip((pack_rows, _pack_unchecked), spaces, strict=True):
        kernel(edges[:-1], edges[1:], indices, values, 0, 90, *space.arrays, 0, 0, large_room(3 * n), 0)
    for checked, bare in zip(spaces[0].arrays, spaces[1].arrays, strict=True):
        np.testing.assert_array_equal(checked, bare)
