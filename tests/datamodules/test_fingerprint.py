import hashlib

import pytest

from datamodules.fingerprint import digest_of

MIB = 2**20


def test_a_small_file_is_hashed_whole_behind_its_facts(tmp_path):
    (tmp_path / "a").write_bytes(b"cells")
    assert digest_of(tmp_path / "a", ["7", "Cxcr2"]) == (5, hashlib.sha256(b"7\nCxcr2\n. 5cells").hexdigest())


@pytest.mark.parametrize(("place", "seen"), [(0, True), (MIB - 1, True), (2 * MIB, False), (4 * MIB - 1, True)])
def test_the_ends_of_a_large_file_are_hashed(tmp_path, place, seen):
    content = bytearray(4 * MIB)
    (tmp_path / "a").write_bytes(content)
    before = digest_of(tmp_path / "a", [])
    content[place] = 1
    (tmp_path / "a").write_bytes(content)
    assert (digest_of(tmp_path / "a", []) != before) == seen


def test_a_folder_is_known_by_the_names_and_sizes_of_its_files(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder / "X").mkdir(parents=True)
        for number in range(6):
            (tmp_path / folder / "X" / f"{number}").write_bytes(b"x" * (10 + number))
    assert digest_of(tmp_path / "one", []) == digest_of(tmp_path / "two", [])
    assert digest_of(tmp_path / "one", [])[0] == 75
    (tmp_path / "two" / "X" / "0").rename(tmp_path / "two" / "X" / "9")
    assert digest_of(tmp_path / "one", []) != digest_of(tmp_path / "two", [])


def test_facts_change_the_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    assert digest_of(tmp_path / "a", ["Cxcr2"]) != digest_of(tmp_path / "a", ["Cxcr1"])
