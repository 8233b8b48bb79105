import pytest
import yaml

from datamodules.simulation.design import DESIGN_FILE, TissueDesign

ABSENT_FROM_MAMMARY_TUMORS = {"AMBIENT", "DOUBLET"}  # droplets, made from the others


def test_the_design_has_every_level_2_type_and_every_neutrophil_state_of_the_ontology(ontology):
    design = TissueDesign.load()
    level_2 = {node.id for node in ontology.nodes if node.level == 2}
    assert {t.id for t in design.types} == level_2 - ABSENT_FROM_MAMMARY_TUMORS
    states = {node.id for node in ontology.nodes if node.parent == "NEUT"}
    assert {s.id for s in design.subsets_of("NEUT")} == states


def test_programmes_have_distinct_genes_in_the_letter_case_of_each_species():
    for genes in TissueDesign.load().programmes.values():
        assert len(set(genes["mouse"])) == len(genes["mouse"]) >= 6
        assert len(set(genes["human"])) == len(genes["human"]) >= 6
        assert all(gene == gene.upper() for gene in genes["human"])
        assert not any(gene == gene.upper() for gene in genes["mouse"] if len(gene) > 2)  # C3, F3


def test_malignant_cells_and_neutrophils_rise_and_normal_tissue_has_no_malignant_cell():
    percent = {t.id: t.percent for t in TissueDesign.load().types}
    assert percent["MAL"][0] == 0
    assert list(percent["MAL"]) == sorted(percent["MAL"])
    assert list(percent["NEUT"]) == sorted(percent["NEUT"])


def test_subsets_of_an_interacting_pair_share_their_neighbors():
    design = TissueDesign.load()
    neighbors = {s.id: set(s.neighbors) for s in design.subsets}
    for interaction in design.interactions:
        assert neighbors[interaction.subsets[0]] == neighbors[interaction.subsets[1]]


@pytest.mark.parametrize(
    ("section", "key", "field", "value"),
    [
        ("subsets", "N_ISG", "programmes", ["interferonn"]),
        ("subsets", "N_ISG", "neighbors", ["N_NONE"]),
        ("subsets", "N_ISG", "type", "NEUTRO"),
        ("types", "LASP", "like", "MAL"),
        ("types", "MAL", "percent", [0, 1, 2]),
    ],
)
def test_a_design_that_contradicts_itself_is_refused(tmp_path, section, key, field, value):
    content = yaml.safe_load(DESIGN_FILE.read_text())
    content[section][key][field] = value
    path = tmp_path / "design.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(ValueError, match="Expected known names and 5 values per row"):
        TissueDesign.load(path)
