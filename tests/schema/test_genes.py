import numpy as np
import pytest

from schema.genes import GeneVocabulary, clean_gene_names, find_species, is_ensembl_id, match_genes


@pytest.fixture
def vocabulary():
    return GeneVocabulary(
        ("Cxcr2", "S100a8", "Ly6g", "Gm1"),
        ("ENSMUSG00000026180", "ENSMUSG00000056054", "ENSMUSG00000022582", ""),
        "mouse",
    )


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("ENSG00000180871.12", "ENSG00000180871"),
        ("ENSMUSG00000026180", "ENSMUSG00000026180"),
        ("GRCh38_CXCR2", "CXCR2"),
        ("mm10___Cxcr2", "Cxcr2"),
        ("GRCh38_ENSG00000180871.1", "ENSG00000180871"),
        (" Cxcr2 ", "Cxcr2"),
        ("RP11-34P13.7", "RP11-34P13.7"),
        ("ENSG0000018087", "ENSG0000018087"),
        ("HLA-DRA", "HLA-DRA"),
        ("mm10", "mm10"),
    ],
)
def test_names_are_cleaned_of_versions_prefixes_and_spaces(name, clean):
    assert clean_gene_names([name]) == [clean]


def test_ensembl_ids_are_told_from_symbols():
    assert [is_ensembl_id(n) for n in ("ENSG00000180871", "ENSMUSG00000026180.4", "ENSG1", "CXCR2")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("names", "species"),
    [
        (["ENSMUSG00000026180", "ENSMUSG00000056054.2"], "mouse"),
        (["ENSG00000180871", "ENSG00000143546"], "human"),
        (["Cxcr2", "S100a8", "mt-Nd1", "Gm12345", "H2-Aa"], "mouse"),
        (["CXCR2", "S100A8", "MT-ND1", "C1orf112", "HLA-DRA"], "human"),
        (["GRCh38_CXCR2", "GRCh38_S100A8"], "human"),
        (["ENSG00000180871", "ENSMUSG00000026180"], None),
        (["CXCR2", "Cxcr2"], None),
        (["1", "2"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_species_shows_in_the_names(names, species):
    assert find_species(names) == species


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "species"), [("zilionis2019_mouse_lung_kp_subset", "mouse"), ("wu2021_human_breast_CID4465", "human")]
)
def test_the_species_of_real_genes_is_found(real_data, name, species):
    ad = pytest.importorskip("anndata")
    assert find_species(list(ad.read_h5ad(real_data / "single_cell" / f"{name}.h5ad").var_names)) == species


def test_symbols_match_in_any_order_and_repeats_share_a_place(vocabulary):
    match = match_genes(vocabulary, ["Gm1", "Actb", "Cxcr2", "Cxcr2", ""], [""] * 5)
    assert match.column.tolist() == [3, -1, 0, 0, -1]
    assert match.column.dtype == np.int64
    assert match.present.tolist() == [True, False, False, True]
    assert (match.n_found, match.by) == (2, "symbol")


def test_whichever_name_finds_more_is_used(vocabulary):
    ids = ["ENSMUSG00000026180.3", "ENSMUSG00000056054", "ENSMUSG00000022582.1"]
    by_id = match_genes(vocabulary, ["Cxcr2", "Old1", "Old2"], ids)
    assert (by_id.column.tolist(), by_id.by) == ([0, 1, 2], "Ensembl id")
    by_symbol = match_genes(vocabulary, ["Cxcr2", "S100a8", "Gm1"], [*ids[:1], "", ""])
    assert (by_symbol.column.tolist(), by_symbol.by) == ([0, 1, 3], "symbol")


def test_ids_in_the_place_of_symbols_are_found(vocabulary):
    match = match_genes(vocabulary, ["ENSMUSG00000022582.7", "ENSMUSG00000000001"], ["", ""])
    assert (match.column.tolist(), match.by) == ([2, -1], "Ensembl id")


def test_an_unknown_id_matches_no_gene_without_id(vocabulary):
    assert match_genes(vocabulary, ["a"], [""]).column.tolist() == [-1]


def test_a_vocabulary_survives_its_file(tmp_path, vocabulary):
    (tmp_path / "genes.tsv").write_text(vocabulary.to_tsv())
    read = GeneVocabulary.from_tsv(tmp_path / "genes.tsv")
    assert read == vocabulary
    assert read.digest == vocabulary.digest
    assert vocabulary.to_tsv().splitlines()[:3] == ["# species: mouse", "symbol\tgene_id", "Cxcr2\tENSMUSG00000026180"]


def test_the_digest_sees_order_and_species(vocabulary):
    swapped = GeneVocabulary(vocabulary.symbols[::-1], vocabulary.ids[::-1], "mouse")
    human = GeneVocabulary(vocabulary.symbols, vocabulary.ids, "human")
    assert len({vocabulary.digest, swapped.digest, human.digest}) == 3


@pytest.mark.parametrize(("symbols", "ids"), [(("a", "a"), ("", "")), (("a", "b"), ("",))])
def test_a_vocabulary_is_one_gene_per_row(symbols, ids):
    with pytest.raises(ValueError, match="unique symbols"):
        GeneVocabulary(symbols, ids, "mouse")


@pytest.mark.parametrize("text", ["", "symbol\tgene_id\na\tb\n", "# species: mouse\nsymbol\tgene_id\na\n"])
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path, text):
    (tmp_path / "genes.tsv").write_text(text)
    with pytest.raises(ValueError, match="Expected"):
        GeneVocabulary.from_tsv(tmp_path / "genes.tsv")


MOUSE_NAMES = ("Cxcr2", "Ly6g", "", "Epcam")
HUMAN_NAMES = ("CXCR2", "", "CXCL8", "EPCAM")


def of_both(mouse=MOUSE_NAMES, human=HUMAN_NAMES):
    other = GeneVocabulary(human, ("ENSG00000180871", "", "", ""), "human")
    return GeneVocabulary(mouse, ("ENSMUSG00000026180", "", "", ""), "mouse", other)


def test_a_vocabulary_of_two_species_is_seen_by_either():
    both = of_both()
    assert (both.n_genes, both.n_named, both.n_shared, both.all_species) == (4, 3, 2, "mouse and human")
    assert both.seen_by("human").n_named == 3
    assert match_genes(both.seen_by("human"), ["CXCL8", "EPCAM", "LY6G"], [""] * 3).column.tolist() == [2, 3, -1]
    assert match_genes(both.seen_by("mouse"), ["Ly6g", "Cxcr2", "Cxcl8"], [""] * 3).column.tolist() == [1, 0, -1]
    assert match_genes(both.seen_by("human"), ["x", "y"], ["", "ENSG00000180871.12"]).column.tolist() == [-1, 0]
    one = GeneVocabulary(("Cxcr2",), ("",), "mouse")
    assert (one.all_species, one.n_shared, one.seen_by("mouse"), one.seen_by("human")) == ("mouse", 0, one, None)


def test_genes_without_a_name_in_a_species_are_not_met_by_nameless_genes():
    assert match_genes(of_both().seen_by("mouse"), ["", "Cxcr2"], ["", ""]).column.tolist() == [-1, 0]


def test_a_vocabulary_of_two_species_survives_the_disk(tmp_path):
    both = of_both()
    (tmp_path / "genes.tsv").write_text(both.to_tsv())
    assert GeneVocabulary.from_tsv(tmp_path / "genes.tsv") == both
    assert both.to_tsv().splitlines()[:3] == [
        "# species: mouse, human",
        "symbol\tgene_id\tsymbol_of_other\tgene_id_of_other",
        "Cxcr2\tENSMUSG00000026180\tCXCR2\tENSG00000180871",
    ]
    assert both.digest != of_both(human=("CXCR2", "", "CXCL6", "EPCAM")).digest


def test_two_species_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="another species"):
        GeneVocabulary(("A",), ("",), "mouse", GeneVocabulary(("B",), ("",), "mouse"))
    with pytest.raises(ValueError, match="another species"):
        GeneVocabulary(("A",), ("",), "mouse", GeneVocabulary(("B", "C"), ("", ""), "human"))
    with pytest.raises(ValueError, match="a name in one"):
        GeneVocabulary(("",), ("",), "mouse", GeneVocabulary(("",), ("",), "human"))
