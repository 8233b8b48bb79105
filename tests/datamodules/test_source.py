import json
import zlib

import pytest

from datamodules.source import reading
from schema.errors import InputError


@pytest.mark.parametrize(
    "error",
    [OSError("cut"), EOFError("cut"), RuntimeError("cut"), ValueError("cut"), KeyError("cut"), zlib.error("cut")],
)
def test_what_libraries_raise_on_damaged_files_becomes_one_line(error):
    with (
        pytest.raises(InputError, match=r"readable to its end: got .*cut.* in a.h5ad, X") as caught,
        reading("a.h5ad, X"),
    ):
        raise error
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), TypeError("ours"), MemoryError(), KeyboardInterrupt()])
def test_bugs_and_interrupts_pass_through(error):
    with pytest.raises(type(error)), reading("a.h5ad, X"):
        raise error


def test_a_library_that_is_lost_in_a_file_is_no_bug_of_ours():
    with pytest.raises(InputError, match=r"got TypeError .* in a.h5ad, X"), reading("a.h5ad, X"):
        json.loads(json)


def test_an_input_error_keeps_its_own_words():
    with pytest.raises(InputError, match="must be whole"), reading("a.h5ad, X"):
        raise InputError("counts must be whole", got="0.5", where="row 3", fix="Fix it.")
