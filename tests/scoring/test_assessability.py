from dataclasses import replace

import pytest

from scoring.assessability import SampleEvidence, assess, find_filter

GOOD = SampleEvidence(
    n_cells=3000,
    n_denominator=2800.0,
    n_neutrophils=280.0,
    burden_low=8.5,
    low_count_percent=7.0,
    min_genes=140,
    edge_genes=260,
    genes_found_percent=90.0,
    training_has_neutrophils=True,
    n_reference_donors=6,
    by_orthologs=False,
)
ABSENT = {"n_neutrophils": 12.0, "burden_low": 0.1}


def test_an_unfiltered_sample_is_assessable_by_a_bundle_that_knows_ambient_droplets():
    assert assess(replace(GOOD, unfiltered=True)).flags == ()
    assert assess(replace(GOOD, knows_ambient=False)).flags == ()


def test_a_good_sample_is_assessable_without_flags():
    verdict = assess(GOOD)
    assert (verdict.assessability, verdict.flags) == ("assessable", ())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"training_has_neutrophils": False}, "the bundle was trained without labelled neutrophils"),
        ({"n_denominator": 49.0}, "only 49 countable cells, at least 50 needed"),
        ({"n_denominator": float("nan")}, "countable cells"),
        ({"genes_found_percent": 19.0}, "only 19 % of the bundle's genes were measured"),
        (ABSENT | {"low_count_percent": 0.0}, "hardly any barcode with fewer than 500 UMI was kept"),
        (ABSENT | {"min_genes": 203, "edge_genes": 221}, "barcodes with fewer than about 203 genes were cut off"),
        ({"low_count_percent": 0.0, "by_orthologs": True}, "the error rates of another species"),
        ({"unfiltered": True, "knows_ambient": False}, "unfiltered and the bundle knows no ambient droplets"),
        ({"suspension": "nucleus"}, "nuclei: neutrophils are lost"),
        ({"gate": "CD45-"}, "sorted by CD45-"),
        ({"gate": "EPCAM+"}, "sorted by EPCAM+"),
        ({"gate": "Ly6G+"}, "sorted by Ly6G+"),
        ({"strange_percent": 50.0}, "50 % of the cells resemble none of the training"),
    ],
)
def test_reasons_against_a_burden(change, reason):
    verdict = assess(replace(GOOD, **change))
    assert verdict.assessability == "not_assessable"
    assert reason in "; ".join(verdict.flags)


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"n_denominator": 499.0}, "499 countable cells, fewer than 500"),
        ({"n_neutrophils": 19.9}, "19.9 expected neutrophils, fewer than 20"),
        ({"genes_found_percent": 49.0}, "49 % of the bundle's genes were measured"),
        ({"n_reference_donors": 0}, "no held-out donor"),
        ({"strange_percent": 20.0}, "20 % of the cells resemble none of the training"),
        ({"n_reference_donors": 2}, "2 held-out donor(s)"),
        ({"by_orthologs": True}, "through orthologs"),
        ({"low_count_percent": 0.0}, "lower bound"),
        ({"min_genes": 203, "edge_genes": 221}, "lower bound"),
    ],
)
def test_doubts(change, doubt):
    verdict = assess(replace(GOOD, **change))
    assert verdict.assessability == "low_confidence"
    assert len(verdict.flags) == 1
    assert doubt in verdict.flags[0]


def test_a_file_cut_at_200_genes_without_neutrophils_is_not_assessable():
    # percentiles of the 1,564 cells of a real breast tumour cut at 200 genes, over all genes and through orthologs
    for min_genes, edge_genes in ((203, 221), (175, 191)):
        cut = replace(GOOD, n_cells=1564, low_count_percent=36.6, min_genes=min_genes, edge_genes=edge_genes, **ABSENT)
        assert assess(cut).assessability == "not_assessable"


def test_lost_in_capture_is_never_zero():
    lost = replace(GOOD, n_cells=300, n_denominator=290.0, low_count_percent=0.0, min_genes=600, edge_genes=690)
    assert assess(replace(lost, n_neutrophils=0.4, burden_low=0.0)).assessability == "not_assessable"


def test_a_normal_gland_with_few_neutrophils_is_low_confidence():
    # 350 cells, 1.5 % neutrophils, two barcodes under 500 UMI: the few neutrophils themselves
    gland = replace(
        GOOD,
        n_cells=350,
        n_denominator=330.0,
        n_neutrophils=5.0,
        burden_low=0.4,
        low_count_percent=0.57,
        min_genes=230,
        edge_genes=900,
    )
    assert assess(gland).assessability == "low_confidence"


def test_neutrophils_that_are_plainly_there_are_a_lower_bound_however_few_the_cells():
    lung = replace(GOOD, n_cells=70, n_denominator=70.0, n_neutrophils=18.0, burden_low=18.0, low_count_percent=0.0)
    verdict = assess(lung)
    assert verdict.assessability == "low_confidence"
    assert verdict.flags[0].startswith("lower bound")


def test_the_edge_of_few_cells_is_no_trace_of_a_filter():
    few = replace(GOOD, n_cells=199, min_genes=203, edge_genes=210)
    assert find_filter(few) is None
    assert find_filter(replace(few, n_cells=200)) is not None


def test_flags_can_be_joined_by_semicolons():
    everything = replace(GOOD, n_denominator=40.0, low_count_percent=0.0, genes_found_percent=5.0, **ABSENT)
    for evidence in (everything, replace(everything, n_denominator=60.0, genes_found_percent=30.0, burden_low=9.0)):
        assert not any(";" in flag for flag in assess(evidence).flags)


def test_cd45_sorted_cells_are_assessable():
    assert assess(replace(GOOD, gate="CD45+")).assessability == "assessable"


@pytest.mark.parametrize("strange", [19.0, float("nan")])
def test_some_strangers_are_no_doubt(strange):
    assert assess(replace(GOOD, strange_percent=strange)).flags == ()


def test_estimators_that_disagree_are_named_and_lower_nothing():
    said = {"counted": 11.9, "called": 12.1, "em": 8.5}
    verdict = assess(replace(GOOD, burden_percent=10.0, half_width=2.0, other_estimates=said))
    assert verdict.assessability == "assessable"
    assert verdict.flags == ("estimators disagree by more than the interval: called 12.1 %",)


def test_below_the_limit_of_detection_is_a_note():
    verdict = assess(replace(GOOD, burden_percent=0.3, limit_percent=0.4))
    assert verdict.assessability == "assessable"
    assert verdict.flags == ("below the limit of detection of 0.40 %",)
    assert assess(replace(GOOD, burden_percent=0.4, limit_percent=0.4)).flags == ()
