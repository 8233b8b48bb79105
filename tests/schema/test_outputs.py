import pytest

from schema.errors import OutputError
from schema.outputs import claim_empty, claim_files, move_into_place


def test_claiming_makes_nothing(tmp_path):
    claim_empty(tmp_path / "a/b")
    claim_files(tmp_path / "a/b", ["x"], overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="written once"):
        claim_empty(tmp_path)
    with pytest.raises(OutputError, match="got x in"):
        claim_files(tmp_path, ["x", "y"], overwrite=False)
    claim_files(tmp_path, ["x", "y"], overwrite=True)
    claim_files(tmp_path, ["y"], overwrite=False)


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="NotADirectoryError"):
        claim_files(tmp_path / "x", ["y"], overwrite=False)


def test_files_move_into_place_and_replace(tmp_path):
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft/x").write_text("new")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x").write_text("old")
    assert move_into_place(tmp_path / "draft", tmp_path / "out", ["x"]) == [tmp_path / "out/x"]
    assert (tmp_path / "out/x").read_text() == "new"
    assert not (tmp_path / "draft/x").exists()
