import gzip

import pytest

from datamodules.short_lines import MAX_LINE, is_gzipped, lines_of, most_bytes, open_lines


def test_lines_are_those_of_the_text_plain_or_packed(tmp_path):
    text = b"one\r\n\ntwo\nlast"
    (tmp_path / "plain").write_bytes(text)
    (tmp_path / "packed").write_bytes(gzip.compress(text))
    for name in ("plain", "packed"):
        assert list(lines_of(tmp_path / name, 9)) == [b"one", b"two", b"last"]
        with open_lines(tmp_path / name) as handle:
            assert handle.read() == text
    assert not is_gzipped(tmp_path / "plain")
    assert most_bytes(tmp_path / "plain") == 14
    assert most_bytes(tmp_path / "packed") == 1032 * (tmp_path / "packed").stat().st_size


def test_no_more_lines_are_read_than_are_needed(tmp_path):
    (tmp_path / "many").write_bytes(b"x\n" * 10_000)
    assert len(list(lines_of(tmp_path / "many", 3))) == 4
    (tmp_path / "blank").write_bytes(b"\n" * 10_000 + b"x\n")
    assert list(lines_of(tmp_path / "blank", 3)) == []


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path):
    (tmp_path / "bomb").write_bytes(gzip.compress(b"A" * (8 * MAX_LINE)))
    with pytest.raises(ValueError, match="a line of more than 1,048,576 bytes"):
        list(lines_of(tmp_path / "bomb", 1))
    (tmp_path / "long").write_bytes(b"A" * (MAX_LINE - 10) + b"\nB")
    assert [len(line) for line in lines_of(tmp_path / "long", 2)] == [MAX_LINE - 10, 1]
