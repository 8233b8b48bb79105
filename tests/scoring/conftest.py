"""Made-up samples for the report: numbers that were drawn, never measured."""

import numpy as np
import pandas as pd
import pytest

from schema.predictions import GENE_COLUMNS, STAGE_OUTPUTS
from schema.stages import StageScale
from scoring.burden import BurdenAccumulator, BurdenConfig, BurdenReference
from scoring.report import ReportContent
from scoring.sample_facts import SampleFacts
from scoring.samples import RunFacts, assemble_samples
from tests.scoring.made_confusion import made_confusion, made_probabilities
from tests.scoring.made_stages import made_evidence

RATES = ([0.9, 0.85, 0.92, 0.8], [0.004, 0.002, 0.006, 0.004])


@pytest.fixture(scope="session")
def scale():
    return StageScale.load("mouse_carcinogenesis")


@pytest.fixture(scope="session")
def make_samples(ontology, scale):
    """Return a function that makes up samples.csv for given names; the sample at `lost` kept no low-UMI barcode."""

    def make(names, *, lost=(), with_stage=True, seed=0):
        rng = np.random.default_rng(seed)
        n = len(names)
        level = np.arange(n) * 5 // max(n, 1)
        expected = rng.gamma(0.3, 1, (n, len(ontology.leaves))) * 40
        neutrophil = ontology.below("NEUT")
        expected[:, neutrophil] *= (0.15 + 0.5 * level)[:, None]
        for code in lost:
            expected[code, neutrophil] = 0.1
        facts = SampleFacts(
            n_cells=np.round(expected.sum(1)).astype(np.int64),
            n_low_counts=np.zeros(n, dtype=np.int64),
            n_ambient=np.zeros(n, dtype=np.int64),
            n_described=np.round(expected.sum(1)).astype(np.int64),
            median_library_size=rng.uniform(1500, 4000, n),
            low_count_percent=np.where(np.isin(np.arange(n), lost), 0.0, 6.0),
            min_genes=np.full(n, 140),
            edge_genes=np.full(n, 260),
            expected_cells=expected,
        )
        probabilities = rng.dirichlet(np.ones(6), n) * 0.3
        probabilities[np.arange(n), level] += 0.7
        at_least = np.cumsum(probabilities[:, :0:-1], axis=1)[:, ::-1]
        stage = dict.fromkeys(STAGE_OUTPUTS, made_evidence(at_least, rng.normal(0, 1, (n, len(ontology.nodes_at(2))))))
        return assemble_samples(
            names,
            facts,
            _burden(expected, ontology),
            stage if with_stage else None,
            np.zeros(n),
            ontology=ontology,
            scale=scale if with_stage else None,
            run=RunFacts(
                genes_found_percent=88.0,
                training_has_neutrophils=True,
                n_reference_donors=4,
                by_orthologs=False,
                limit_percent=0.4,
            ),
        )

    return make


def _burden(expected, ontology):
    accumulator = BurdenAccumulator(ontology, np.zeros(len(expected), dtype=bool), BurdenConfig(n_replicates=100))
    counted = ~ontology.below(*ontology.roles.outside_denominator)
    for code, row in enumerate(expected):
        n = max(1, int(row[counted].sum()))
        share = np.full(n, min(row[ontology.below("NEUT")].sum() / n, 1.0))
        probabilities = made_probabilities(ontology, N_MAT=share, MAL=1 - share)
        accumulator.update(np.full(n, code), probabilities, np.full(n, 2000.0))
    prior = np.full(len(ontology.leaves), 1 / len(ontology.leaves))
    return accumulator.estimate(BurdenReference(made_confusion(ontology, *RATES), prior))


@pytest.fixture(scope="session")
def make_content(make_samples, ontology, scale):
    """Return a function that makes up everything a report says."""

    def make(names, *, simulated=True, with_stage=True, lost=(), n_cells=400, **changes):
        rng = np.random.default_rng(1)
        samples = make_samples(names, lost=lost, with_stage=with_stage)
        types = [ontology.nodes[i].name for i in ontology.nodes_at(2)[:12]]
        center = rng.normal(size=(12, 2)) * 6
        code = rng.integers(12, size=n_cells)
        points = center[code] + rng.normal(size=(n_cells, 2))
        is_neutrophil = np.array(types)[code] == "neutrophil"
        embedding = pd.DataFrame(
            {
                "x": points[:, 0],
                "y": points[:, 1],
                "cell_type": np.array(types)[code],
                "neutrophil_probability": np.where(is_neutrophil, rng.beta(8, 2, n_cells), rng.beta(1, 30, n_cells)),
            }
        )
        truth = pd.DataFrame(
            {
                "sample_id": names,
                "burden_percent": samples["burden_percent"].fillna(12.0) * 1.1,
                "tumor_stage": [scale.levels[i * 5 // len(names)].name for i in range(len(names))],
            }
        )
        return ReportContent(
            **{
                "title": "Made-up numbers",
                "simulated": simulated,
                "samples": samples,
                "ontology": ontology,
                "scale": scale if with_stage else None,
                "embedding": embedding,
                "coverage": {"genes found": "13,210 of 15,000 (88 %)", "matched by": "symbol", "species": "mouse"},
                "warnings": ["12 % of the bundle's genes were not measured."],
                "provenance": {"neutrostage": "0.0.0", "bundle digest": "0123abcd", "seed": "0"},
                "truth": truth if simulated else None,
                "input_name": "made_up.h5ad",
                "species": "mouse",
                "bundle": "made-up bundle",
            }
            | changes
        )

    return make


@pytest.fixture(scope="session")
def make_genes(ontology):
    """Return a function that makes up genes.csv for some calls: ten genes each, and of a sample for neutrophils."""

    def make(calls):
        rows = []
        for call in calls:
            node = ontology.nodes[ontology.index_by_id[call]]
            if call == "NEUT":
                rows.append(_gene(node, "a", 1, "Gene of a sample"))
            rows += [_gene(node, "", rank, f"Gene {rank} of {call}") for rank in range(1, 11)]
        return pd.DataFrame(rows).astype({column.name: column.dtype for column in GENE_COLUMNS})

    return make


def _gene(node, sample, rank, symbol):
    values = (node.id, node.name, node.level, sample, 40, rank, symbol, 1 / rank, 0.1 / rank, rank, 3 - rank / 5, 1.5)
    return dict(zip([column.name for column in GENE_COLUMNS], (*values, rank % 2 == 1, 0.5), strict=True))
