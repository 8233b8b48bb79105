import gzip
from pathlib import Path

import pytest

from schema.errors import InputError
from schema.genes import GeneVocabulary, match_genes
from schema.labels import CellOntology
from schema.orthologs import EXCEPTIONS_FILE, load_orthologs

TABLE = """human_symbol\tmouse_symbol\tone_to_one
CA4\tCar4\tTrue
CXCR2\tCxcr2\tFalse
CXCR2\tCxcr1\tFalse
TP53\tTrp53\tTrue
"""


def write_table(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["orthologs.tsv", "orthologs.tsv.gz"])
def test_a_users_table_joins_its_one_to_one_rows_and_nothing_else(tmp_path, name):
    orthologs = load_orthologs(write_table(tmp_path / name, TABLE))
    assert orthologs.translate(["Car4", "Cxcr2", "Trp53", "Actb"], "mouse", "human") == ("CA4", "", "TP53", "")
    assert orthologs.translate(["TP53", "CXCR2", "CA4"], "human", "mouse") == ("Trp53", "", "Car4")
    assert orthologs.mouse_to_human == {"Car4": "CA4", "Trp53": "TP53"}
    assert orthologs.origin == f"2 one-to-one pairs of {name}"


def test_the_rule_joins_namesakes_and_follows_the_exceptions():
    orthologs = load_orthologs()
    mouse = ["Cxcr2", "Car4", "Trp63", "Cxcl5", "mt-Nd1", "mt-Cytb", "H2-Aa", "S100a8"]
    human = ("CXCR2", "CA4", "TP63", "CXCL6", "MT-ND1", "MT-CYB", "HLA-DQA1", "S100A8")
    assert orthologs.translate(mouse, "mouse", "human") == human
    assert orthologs.translate(human, "human", "mouse") == tuple(mouse)


@pytest.mark.parametrize("symbol", ["Tnfrsf23", "Ly6g", "Ceacam3", "Defa3", "Gbp4"])
def test_mouse_genes_without_a_counterpart_stay_apart(symbol):
    assert load_orthologs().translate([symbol], "mouse", "human") == ("",)


@pytest.mark.parametrize("symbol", ["CXCL8", "FCGR3B", "S100A12", "TNFRSF10C", "TNFRSF10D", "CEACAM3", "DEFA3", "LY6G"])
def test_human_genes_without_a_counterpart_stay_apart(symbol):
    assert load_orthologs().translate([symbol], "human", "mouse") == ("",)


def test_a_name_taken_by_an_exception_is_not_reached_by_its_namesake():
    assert load_orthologs().translate(["CXCL5"], "human", "mouse") == ("",)  # Cxcl5 is the counterpart of CXCL6
    assert load_orthologs().translate(["Cxcl6"], "mouse", "human") == ("",)


def test_of_several_names_the_one_the_caller_has_is_taken():
    orthologs = load_orthologs()
    assert orthologs.translate(["H2afz"], "mouse", "human") == ("H2AZ1",)
    assert orthologs.translate(["H2afz"], "mouse", "human", known=["H2AFZ"]) == ("H2AFZ",)
    assert orthologs.translate(["H2AZ1"], "human", "mouse", known=["H2afz", "Actb"]) == ("H2afz",)


def test_prefixes_are_dropped_ensembl_ids_have_no_answer_and_one_species_stays_itself():
    orthologs = load_orthologs()
    assert orthologs.translate(["mm10_Cxcr2", "ENSMUSG00000026180.5"], "mouse", "human") == ("CXCR2", "")
    assert orthologs.translate(["Cxcr2", "Ly6g"], "mouse", "mouse") == ("Cxcr2", "Ly6g")


def test_translated_names_meet_a_vocabulary_of_the_other_species():
    vocabulary = GeneVocabulary(("Car4", "Cxcr2", "Ly6g"), ("", "", ""), "mouse")
    file_genes = ["CXCL8", "CXCR2", "ACTB", "CA4"]
    match = match_genes(vocabulary, load_orthologs().translate(file_genes, "human", "mouse"), [""] * 4)
    assert match.column.tolist() == [-1, 1, -1, 0]
    assert match.present.tolist() == [True, True, False]


def test_an_unknown_species_is_refused():
    with pytest.raises(ValueError, match="'rat'"):
        load_orthologs().translate(["Cxcr2"], "rat", "human")


def test_no_curated_line_contradicts_another():
    lines = EXCEPTIONS_FILE.read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")][1:]
    assert {len(row) for row in rows} == {4}
    assert {row[2] for row in rows} == {"joined", "apart"}
    joined = {name for row in rows if row[2] == "joined" for name in row[:2]}
    apart = {name for row in rows if row[2] == "apart" for name in row[:2]}
    assert joined & apart == set()
    assert len({tuple(row[:2]) for row in rows}) == len(rows)


def test_markers_of_neutrophils_and_their_states_that_meet_by_rule():
    ontology = CellOntology.load()
    nodes = {node.id: node for node in ontology.nodes}
    answers = load_orthologs().translate(nodes["NEUT"].markers_mouse, "mouse", "human")
    assert dict(zip(nodes["NEUT"].markers_mouse, answers, strict=True)) == {
        "S100a8": "S100A8",
        "S100a9": "S100A9",
        "Retnlg": "",
        "Ly6g": "",
        "Cxcr2": "CXCR2",
        "Csf3r": "CSF3R",
        "Mmp9": "MMP9",
        "Il1r2": "IL1R2",
        "Hdc": "HDC",
    }


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "no rows"),
        ("human\tmouse\nA\tB\n", "no column human_symbol"),
        ("human_symbol\tmouse_symbol\tone_to_one\nCA4\tCar4\tmaybe\n", "one_to_one 'maybe' at 'CA4'"),
        ("human_symbol\tmouse_symbol\tone_to_one\nCA4\tCar4\tFalse\n", "no row that is one-to-one"),
        ("human_symbol\tmouse_symbol\tone_to_one\nCA4\t\tTrue\n", "a one-to-one row with a blank symbol"),
        ("human_symbol\tmouse_symbol\tone_to_one\nCA4\tCar4\tTrue\nCA5A\tCar4\tTrue\n", "mouse gene 'Car4' in two"),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path, text, got):
    with pytest.raises(InputError, match=got) as refused:
        load_orthologs(write_table(tmp_path / "mine.tsv", text))
    assert "mine.tsv" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert refused.value.exit_code == 3


def test_a_cut_or_missing_table_is_refused(tmp_path):
    whole = gzip.compress(TABLE.encode())
    (tmp_path / "cut.tsv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="EOFError on reading"):
        load_orthologs(tmp_path / "cut.tsv.gz")
    with pytest.raises(InputError, match="FileNotFoundError"):
        load_orthologs(tmp_path / "missing.tsv")
