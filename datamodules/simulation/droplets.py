"""Droplets of one simulated sample: which cells each holds, how much mRNA was captured, how much of it is ambient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.simulation.cells import draw_cells
from datamodules.simulation.cohort import draw_composition, draw_subset_shares
from datamodules.simulation.design import TypeDesign
from datamodules.simulation.tissue import Tissue

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

AMBIENT, NEUTROPHIL_MALIGNANT, OTHER_DOUBLET = "AMBIENT", "DBL_NEUT_MAL", "DBL_OTHER"
AMBIENT_SHARE, DOUBLET_SHARE = 0.03, 0.04
"""Shares of a sample's barcodes."""
CONTACT_SHARE = (0.0, 0.02, 0.05, 0.25, 0.4)
"""Share of doublets that are a neutrophil on a malignant cell, per stage, beyond those that meet by chance."""
AMBIENT_RANGE = (0.02, 0.2)
"""Share of a cell's counts that is ambient: least and most."""
AMBIENT_LIBRARY = 250.0
"""Median UMI of a droplet that holds ambient RNA alone."""
LIBRARY_SPREAD = 0.35
"""Standard deviation of log library size within a type."""
LIBRARY_RANGE = {"NEUT": (220, 720), "ERY": (300, 1500), "PLT": (200, 1000), AMBIENT: (100, 400), "": (1000, 6000)}
"""Least and most UMI of a type; "" = all others."""


@dataclass(frozen=True)
class Droplets:
    """Barcodes of one sample, before counting. A barcode holds one part (a cell, or ambient RNA) or, as a doublet, two.

    Attributes
    ----------
    kind
        `[n_droplets]`: node id of what it holds, at the finest level.
    first_part
        int64 `[n_droplets + 1]`: droplet `i` holds parts `first_part[i]:first_part[i + 1]`.
    library_size
        float32 `[n_parts]`: expected UMI.
    ambient_fraction
        float32 `[n_parts]`: share of them that is ambient.
    weights
        float32 `[n_parts, n_topics]`: share of the part's own mRNA per topic; rows sum to 1, or to 0 for ambient RNA.
    """

    kind: npt.NDArray[np.str_]
    first_part: Integers
    library_size: Floats
    ambient_fraction: Floats
    weights: Floats

    @property
    def n_droplets(self) -> int:
        """Number of barcodes."""
        return len(self.kind)

    @property
    def ambient_of_droplets(self) -> Floats:
        """Share of each droplet's expected UMI that is ambient, float32 `[n_droplets]`."""
        start = self.first_part[:-1]
        ambient = np.add.reduceat(self.library_size * self.ambient_fraction, start)
        return np.asarray(ambient / np.add.reduceat(self.library_size, start), dtype=np.float32)


def draw_droplets(
    rng: np.random.Generator,
    tissue: Tissue,
    n_droplets: int,
    *,
    composition_stage: int,
    state_stage: int,
    state_overlap: float,
    depth: float,
) -> Droplets:
    """Draw the barcodes of one sample in random order.

    Parameters
    ----------
    rng
        Source of randomness.
    tissue
        What there is, and its topics.
    n_droplets
        Number of barcodes.
    composition_stage
        Stage whose type fractions, and whose contacts between neutrophils and malignant cells, hold.
    state_stage
        Stage whose subset shares and programme activities hold.
    state_overlap
        See `draw_cells`.
    depth
        Sequencing depth, as a factor on library sizes.
    """
    types = tissue.design.types
    composition = draw_composition(rng, tissue.design, composition_stage)
    n_parts, code = _draw_parts(rng, types, composition, n_droplets, CONTACT_SHARE[composition_stage])
    part_type = np.array([*(t.id for t in types), AMBIENT])[code]
    kind, weights = part_type.astype("U12"), np.zeros((len(code), len(tissue.names)), dtype=np.float32)
    library_size = _draw_library(rng, AMBIENT_LIBRARY, AMBIENT, len(code))
    for cell_type in types:
        rows = np.flatnonzero(part_type == cell_type.id)
        subsets = tissue.design.subsets_of(cell_type.id)
        shares = draw_subset_shares(rng, subsets, state_stage)
        cells = draw_cells(rng, tissue, cell_type, shares, len(rows), stage=state_stage, state_overlap=state_overlap)
        weights[rows] = cells.weights
        library_size[rows] = _draw_library(rng, cell_type.library_size * depth, cell_type.id, len(rows))
        kind[rows] = np.array([s.id for s in subsets])[cells.subset] if subsets else cell_type.id
    ambient = np.where(part_type == AMBIENT, 1, _draw_ambient(rng, len(code))).astype(np.float32)
    first_part = np.concatenate([[0], np.cumsum(n_parts)])
    return Droplets(_droplet_kinds(kind, part_type, first_part), first_part, library_size, ambient, weights)


def add_ambient(droplets: Droplets, topics: Floats) -> Floats:
    """Return the topics and, as one more, the sample's ambient RNA: the mean of its cells' own mRNA.

    Returns
    -------
    float32 `[n_topics + 1, n_genes]`; rows sum to 1.
    """
    own = droplets.library_size * (1 - droplets.ambient_fraction)
    profile = (own @ droplets.weights) @ topics
    return np.concatenate([topics, profile[None] / profile.sum()]).astype(np.float32)


def expected_counts(droplets: Droplets, parts: slice, topics: Floats) -> Floats:
    """Return the expected UMI of some parts from topics with the ambient one last, float32 `[n_parts, n_genes]`."""
    ambient = droplets.ambient_fraction[parts, None]
    mixture = np.concatenate([droplets.weights[parts] * (1 - ambient), ambient], axis=1)
    return np.asarray((mixture * droplets.library_size[parts, None]) @ topics, dtype=np.float32)


def _draw_parts(
    rng: np.random.Generator,
    types: Sequence[TypeDesign],
    composition: npt.NDArray[np.float64],
    n_droplets: int,
    contact: float,
) -> tuple[Integers, Integers]:
    """Return the number of parts per droplet `[n_droplets]` and the type code of each part (`n_types` = ambient)."""
    codes = {t.id: code for code, t in enumerate(types)}
    first = rng.choice(len(composition), n_droplets, p=composition)
    role = rng.random(n_droplets)
    n_parts = np.where((role >= AMBIENT_SHARE) & (role < AMBIENT_SHARE + DOUBLET_SHARE), 2, 1)
    first[role < AMBIENT_SHARE] = len(composition)
    doublets = np.flatnonzero(n_parts == 2)
    second = np.array([_other_type(rng, composition, first[d]) for d in doublets], dtype=np.int64)
    met = rng.random(len(doublets)) < contact
    first[doublets[met]], second[met] = codes["NEUT"], codes["MAL"]
    parts = np.empty(n_parts.sum(), dtype=np.int64)
    start = np.cumsum(n_parts) - n_parts
    parts[start], parts[start[doublets] + 1] = first, second
    return n_parts, parts


def _other_type(rng: np.random.Generator, composition: npt.NDArray[np.float64], not_this: int) -> int:
    rest = composition.copy()
    rest[not_this] = 0
    return int(rng.choice(len(rest), p=rest / rest.sum()))


def _draw_library(rng: np.random.Generator, median: float, cell_type: str, n: int) -> Floats:
    least, most = LIBRARY_RANGE.get(cell_type, LIBRARY_RANGE[""])
    return np.clip(rng.lognormal(np.log(median), LIBRARY_SPREAD, n), least, most).astype(np.float32)


def _draw_ambient(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    least, most = AMBIENT_RANGE
    return np.clip(rng.uniform(least, most) * rng.lognormal(0, 0.25, n), least, most)


def _droplet_kinds(
    kind: npt.NDArray[np.str_], part_type: npt.NDArray[np.str_], first_part: Integers
) -> npt.NDArray[np.str_]:
    first, last = first_part[:-1], first_part[1:] - 1
    contact = np.isin(part_type[first], ("NEUT", "MAL")) & np.isin(part_type[last], ("NEUT", "MAL"))
    doublet = np.where(contact, NEUTROPHIL_MALIGNANT, OTHER_DOUBLET)
    return np.where(first == last, kind[first], doublet)
