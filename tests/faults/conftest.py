"""One small cohort, one bundle and one warm process for all bad days."""

import pytest

from benchmarks.faults.materials import make_materials
from benchmarks.faults.sweep import Sweep


@pytest.fixture(scope="session")
def materials(tmp_path_factory):
    return make_materials(tmp_path_factory.mktemp("materials"))


@pytest.fixture(scope="session")
def sweep(materials):
    return Sweep(materials)
