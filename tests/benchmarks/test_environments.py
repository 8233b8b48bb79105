import sys

import pytest

from benchmarks.environments import Environment, pinned


def test_what_is_there_is_used_and_names_its_versions(tmp_path):
    folder = tmp_path / "peer_venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    peer = Environment(name="peer", steps=(), imports="json", packages=("pytest",))
    assert peer.interpreter("no-such-python", tmp_path) == folder / "python"
    assert peer.versions(sys.executable)["pytest"] == pytest.__version__


def test_an_environment_that_cannot_be_made_says_of_what(tmp_path):
    peer = Environment(name="peer", steps=("first==1", "second==2"), imports="second", packages=())
    with pytest.raises(RuntimeError, match="first==1 and second==2 could not be installed"):
        peer.interpreter("no-such-python", tmp_path)


def test_torch_is_installed_as_this_project_pins_it():
    assert pinned("torch").startswith("torch==2.")
