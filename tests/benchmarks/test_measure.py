import pytest

from benchmarks.measure import python, run_measured


def test_a_command_is_measured_and_a_failing_one_shows_its_log(tmp_path):
    measured = run_measured(python("-c", "x = bytearray(50_000_000); x[:] = b'1' * 50_000_000"), tmp_path / "log")
    assert measured.peak_mib > 50
    assert measured.seconds > 0
    with pytest.raises(RuntimeError, match=r"got 3 from (.|\n)*spoken"):
        run_measured(python("-c", "print('spoken'); raise SystemExit(3)"), tmp_path / "log")
