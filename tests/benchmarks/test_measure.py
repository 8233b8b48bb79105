import pytest

from benchmarks.measure import python, run_measured


def test_a_command_is_measured_and_a_failing_one_shows_its_log(tmp_path):
    measured = run_measured(python("-c", "x = bytearray(50_000_000); x[:] = b'1' * 50_000_000"), tmp_path / "log")
    assert measured.peak_mib > 50
    assert measured.seconds > 0
    with pytest.raises(RuntimeError, match=r"got 3 from (.|\n)*spoken"):
        run_measured(python("-c", "print('spoken'); raise SystemExit(3)"), tmp_path / "log")


def test_the_peak_of_a_command_is_not_that_of_the_one_who_measures(tmp_path):
    held = bytearray(b"1" * 100_000_000)
    assert run_measured(python("-S", "-c", "pass"), tmp_path / "log").peak_mib < 50
    assert len(held) == 100_000_000
