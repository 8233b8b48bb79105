from benchmarks.page_cache import drop, files_below, read_through, resident_share, size_below


def test_a_file_that_was_read_is_resident_and_dropping_takes_nothing_from_it(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "large").write_bytes(b"x" * 300_000)
    (tmp_path / "a").write_bytes(b"y" * 10)
    assert [file.name for file in files_below(tmp_path)] == ["a", "large"]
    assert size_below(tmp_path) == 300_010
    assert read_through(tmp_path) > 0
    assert resident_share(tmp_path) == 1.0
    drop(tmp_path)
    assert 0 <= resident_share(tmp_path) <= 1
    assert (tmp_path / "b" / "large").read_bytes() == b"x" * 300_000


def test_an_empty_file_has_no_pages(tmp_path):
    (tmp_path / "empty").touch()
    assert resident_share(tmp_path) == 0.0
