"""The rows of companions.csv: what is said of the neutrophils of a sample beside their number, never mixed into it."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import CellOntology
from schema.predictions import NOT_ASSESSABLE, check_columns, companion_columns, state_columns
from scoring.doublet_ratio import MIN_DOUBLETS, MIN_PAIR, doublet_ratio
from scoring.intervals import odds_interval, share_interval
from scoring.programmes import MIN_GENES_SHARE, MIN_NEUTROPHILS, load_programmes, polarity
from scoring.sample_facts import MIN_STATE_NEUTROPHILS
from scoring.state_shares import StateReading, drawn_interval

Floats = npt.NDArray[np.float64]

MIN_RATIO_CELLS = 30
"""Expected neutrophils and lymphocytes together: with fewer, the ends of the interval lie more than fourfold apart even
where both are equally many."""

MIN_VESSEL_CELLS = 30
"""Expected endothelial cells of blood vessels: with fewer, the interval of the share of tip cells spans 30 points."""


_PRO = "pro_tumor_percent"


@dataclass(frozen=True, kw_only=True)
class CompanionEvidence:
    """What is known of the samples of a run.

    Attributes
    ----------
    expected_cells
        float64 `[n_samples, n_leaves]`: sums of the calibrated probabilities of each leaf.
    n_called_neutrophils
        int64 `[n_samples]`: cells of the pseudobulk.
    scores
        From `Pseudobulk.scores`, one row per sample.
    learnt
        Ids of the nodes that the bundle has learnt, from `learnt_nodes`.
    reading
        How held-out donors' states were read.
    seed
        Seed of the draws of the states' intervals.
    """

    expected_cells: Floats
    n_called_neutrophils: npt.NDArray[np.int64]
    scores: pd.DataFrame
    learnt: Set[str]
    reading: StateReading
    seed: int = 0


def assemble_companions(samples: pd.DataFrame, evidence: CompanionEvidence, ontology: CellOntology) -> pd.DataFrame:
    """Return companions.csv as a table, exactly as `schema.predictions.companion_columns` states it.

    Formulas, units and least numbers of cells are in docs/burden.md. A sample whose burden is not assessable has no
    companions: the neutrophils that are left of it say nothing of those that were lost.

    Parameters
    ----------
    samples
        As samples.csv.
    evidence
        What is known of the same samples, in the same order.
    ontology
        Of the bundle.

    Raises
    ------
    ValueError
        If the parts are not of one length.
    """
    if not len(samples) == len(evidence.expected_cells) == len(evidence.scores):
        raise ValueError(f"Expected {len(samples)} samples but got {len(evidence.expected_cells)}.")
    notes = _Notes(len(samples))
    parts = [
        _states(evidence, ontology, notes),
        _ratio(evidence, ontology, notes),
        _doublets(evidence, ontology, notes),
        _niche(samples, evidence, ontology, notes),
    ]
    table = pd.concat([samples[["sample_id", "n_neutrophils"]].reset_index(drop=True), *parts], axis=1)
    table["n_called_neutrophils"] = evidence.n_called_neutrophils
    burden = samples["burden_percent"].to_numpy(dtype=np.float64)
    table["weighted_burden_percent"] = burden * table["pro_tumor_percent"] / 100
    table["polarity"] = polarity(evidence.scores)
    columns = companion_columns(ontology)
    lost = (samples["assessability"] == NOT_ASSESSABLE).to_numpy()
    measures = [column.name for column in columns[3:] if column.dtype == "float64"]
    table.loc[lost, measures] = np.nan
    notes.replace(lost, "burden not assessable")
    table["companion_notes"] = notes.texts()
    table = table[[column.name for column in columns]]
    check_columns(table, columns)
    return table.astype({column.name: column.dtype for column in columns})


def learnt_nodes(labels: Iterable[str], ontology: CellOntology) -> frozenset[str]:
    """Return the ids of the nodes that labels of training cells and made droplets name, and of those above them."""
    found: set[str] = set()
    for label in labels:
        node = ontology.index_by_id[label]
        while node >= 0:
            found.add(ontology.nodes[node].id)
            node = int(ontology.parents[node])
    return frozenset(found)


class _Notes:
    """Reasons by sample, in the order in which they were found."""

    def __init__(self, n_samples: int) -> None:
        self._of: list[list[str]] = [[] for _ in range(n_samples)]

    def add(self, where: npt.NDArray[np.bool_], reason: str) -> None:
        """Note a reason for the samples for which it holds."""
        for code in np.flatnonzero(where).tolist():
            self._of[code].append(reason)

    def replace(self, where: npt.NDArray[np.bool_], reason: str) -> None:
        """Put one reason in the place of all others."""
        for code in np.flatnonzero(where).tolist():
            self._of[code] = [reason]

    def texts(self) -> list[str]:
        """Return one text per sample."""
        return ["; ".join(reasons) for reasons in self._of]


def _states(evidence: CompanionEvidence, ontology: CellOntology, notes: _Notes) -> pd.DataFrame:
    """Return the share of each state of the neutrophils, and that of the pro-tumour ones, with intervals."""
    states, n_samples = ontology.neutrophil_states, len(evidence.expected_cells)
    names = [column.name for column in state_columns(ontology)]
    if not any(name.removeprefix("state_") in evidence.learnt for name in names):
        notes.add(np.ones(n_samples, dtype=bool), "states: no neutrophil state was labelled in training")
        return pd.DataFrame(
            np.nan, index=range(n_samples), columns=[end for name in (*names, _PRO) for end in _with_ends(name)]
        )
    cells = evidence.expected_cells @ ontology.leaves_below[states].T
    is_pro, is_excluded = (
        ontology.inside(*ids)[states] for ids in (ontology.roles.pro_tumor_states, ontology.roles.excluded_states)
    )
    # each share: which states are its part, and of which it is a part
    part, whole = np.vstack([np.eye(len(states), dtype=bool), is_pro]), np.ones((len(states) + 1, len(states)), bool)
    whole[-1] = ~is_excluded
    n_whole = cells @ whole.T
    enough = (n_whole >= MIN_STATE_NEUTROPHILS) & part.any(axis=1)
    shares = np.divide(cells @ part.T, n_whole, out=np.full(n_whole.shape, np.nan), where=enough)
    ends = np.full((2, *shares.shape), np.nan)
    for code in np.flatnonzero(enough.any(axis=1)).tolist():
        drawn = evidence.reading.draw(cells[code], np.random.SeedSequence(evidence.seed, spawn_key=(code,)))
        of_share = (drawn @ part.T) / np.maximum(drawn @ whole.T, 1e-12)
        for place in np.flatnonzero(enough[code]).tolist():
            ends[:, code, place] = drawn_interval(of_share[:, place], shares[code, place], n_whole[code, place])
    notes.add(~enough[:, -1], f"states: fewer than {MIN_STATE_NEUTROPHILS} expected neutrophils")
    table: dict[str, Floats] = {}
    for place, name in enumerate((*names, _PRO)):
        times = 100 if name == _PRO else 1
        table |= dict(zip(_with_ends(name), (times * of[:, place] for of in (shares, *ends)), strict=True))
    return pd.DataFrame(table)


def _with_ends(name: str) -> tuple[str, str, str]:
    """Return the names of the columns of a share and of the ends of its interval."""
    start = name.removesuffix("_percent")
    return name, f"{start}_low", f"{start}_high"


def _ratio(evidence: CompanionEvidence, ontology: CellOntology, notes: _Notes) -> pd.DataFrame:
    """Return neutrophils over lymphocytes, half a cell added to both, with its interval."""
    names = [f"neutrophil_lymphocyte_{end}" for end in ("ratio", "low", "high")]
    cells, role = evidence.expected_cells, ontology.roles.lymphoid
    if role is None:
        notes.add(np.ones(len(cells), dtype=bool), "ratio: the label tree names no lymphocytes")
        return pd.DataFrame(np.nan, index=range(len(cells)), columns=names)
    neutrophils = cells[:, ontology.below(ontology.roles.neutrophil)].sum(axis=1)
    lymphocytes = cells[:, ontology.below(role)].sum(axis=1)
    enough = neutrophils + lymphocytes >= MIN_RATIO_CELLS
    notes.add(~enough, f"ratio: fewer than {MIN_RATIO_CELLS} expected neutrophils and lymphocytes")
    values = ((neutrophils + 0.5) / (lymphocytes + 0.5), *odds_interval(neutrophils, lymphocytes))
    return pd.DataFrame({name: np.where(enough, value, np.nan) for name, value in zip(names, values, strict=True)})


def _doublets(evidence: CompanionEvidence, ontology: CellOntology, notes: _Notes) -> pd.DataFrame:
    """Return neutrophil x malignant doublets, found and by chance."""
    found, role = doublet_ratio(evidence.expected_cells, ontology), ontology.roles.neutrophil_malignant_doublet
    names = ("doublet_log2_ratio", "doublet_log2_low", "doublet_log2_high")
    table = pd.DataFrame(
        {
            "n_doublets": found.n_doublets,
            "n_neutrophil_malignant": found.n_pair,
            "n_neutrophil_malignant_by_chance": found.n_pair_by_chance,
            **dict(zip(names, found[3:], strict=True)),
        }
    )
    if role is None or role not in evidence.learnt:
        table[:] = np.nan
        notes.add(np.ones(len(table), dtype=bool), "doublets: the bundle knows no neutrophil x malignant droplets")
        return table
    few = f"doublets: fewer than {MIN_DOUBLETS} in all, or than {MIN_PAIR:g} of the pair"
    notes.add(np.isnan(found.log2_ratio), few)
    return table


def _niche(samples: pd.DataFrame, evidence: CompanionEvidence, ontology: CellOntology, notes: _Notes) -> pd.DataFrame:
    """Return the parts of the angiogenic niche and their geometric mean, and the scores of all programmes."""
    roles, cells = ontology.roles, evidence.expected_cells
    counted = samples["n_denominator"].to_numpy(dtype=np.float64)
    endothelial = cells[:, ontology.below(roles.endothelial)].sum(axis=1)
    share = np.divide(endothelial, counted, out=np.full(len(cells), np.nan), where=counted > 0)
    tip = _tip_share(evidence, ontology, notes)
    scores = evidence.scores.add_prefix("score_").reset_index(drop=True)
    _note_scores(evidence, notes)
    return scores.assign(
        endothelial_percent=100 * share,
        tip_percent=100 * tip[0],
        tip_low=100 * tip[1],
        tip_high=100 * tip[2],
        niche_index=np.sqrt(share * tip[0] * scores["score_angiogenic"]),
    )


def _tip_share(evidence: CompanionEvidence, ontology: CellOntology, notes: _Notes) -> tuple[Floats, Floats, Floats]:
    """Return the share of tip cells among their siblings, with its interval."""
    role, cells = ontology.roles.endothelial_tip, evidence.expected_cells
    if role is None or role not in evidence.learnt:
        notes.add(np.ones(len(cells), dtype=bool), "niche: no tip cell was labelled in training")
        blank = np.full(len(cells), np.nan)
        return blank, blank, blank
    at = ontology.index_by_id[role]
    vessels = cells @ ontology.leaves_below[ontology.parents[at]]
    enough = vessels >= MIN_VESSEL_CELLS
    notes.add(~enough, f"niche: fewer than {MIN_VESSEL_CELLS} expected endothelial cells of blood vessels")
    tips = cells @ ontology.leaves_below[at]
    low, high = (np.where(enough, end, np.nan) for end in share_interval(np.minimum(tips, vessels), vessels))
    share = np.divide(tips, vessels, out=np.full(len(cells), np.nan), where=enough)
    return share, low, high


def _note_scores(evidence: CompanionEvidence, notes: _Notes) -> None:
    """Say why scores are blank: too few cells by sample, too few genes for the whole run."""
    few = evidence.n_called_neutrophils < MIN_NEUTROPHILS
    notes.add(few, f"programmes: fewer than {MIN_NEUTROPHILS} called neutrophils")
    unmeasured = [p.id for p in load_programmes() if bool(evidence.scores.loc[~few, p.id].isna().any())]
    if unmeasured:
        words = f"programmes: fewer than {MIN_GENES_SHARE:.0%} of the genes measured of {', '.join(unmeasured)}"
        notes.add(~few, words)
