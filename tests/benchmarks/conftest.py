from pathlib import Path

import pytest

from schema.labels import CellOntology

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def ontology():
    """The label tree with the states of Zilionis."""
    return CellOntology.load(ROOT / "configs" / "ontology_zilionis.yaml")


@pytest.fixture(scope="session")
def nodes(ontology):
    """Node ids to node indices."""
    return lambda *ids: [ontology.index_by_id[i] for i in ids]
