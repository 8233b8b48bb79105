"""What the simulated tissue is made of, as typed values: programmes, types, subsets and how they move with stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DESIGN_FILE = Path(__file__).with_name("programmes.yaml")
N_STAGES = 5
"""Stages of the simulated cohort: the first levels of the scale mouse_carcinogenesis, normal to late carcinoma."""


@dataclass(frozen=True, kw_only=True)
class TypeDesign:
    """A cell type at level 2 of the ontology."""

    id: str
    like: str | None
    """Type listed before it, whose background it shares and into which its cells blend; None = starts from the root."""
    library_size: float
    """Median UMI per cell."""
    marker_share: float
    """Share of mRNA spent on its markers."""
    programme: str | None
    """Programme whose genes count among its markers."""
    percent: tuple[float, ...]
    """Percent of the called cells `[n_stages]`, before they are scaled to sum to 100."""


@dataclass(frozen=True, kw_only=True)
class SubsetDesign:
    """A subset or neutrophil state at level 3 of the ontology."""

    id: str
    type: str
    share: float
    """Share of mRNA spent on its markers and programmes, on top of the profile of its type."""
    programmes: tuple[str, ...]
    neighbors: tuple[str, ...]
    """Subsets of the same type into which its cells blend."""
    percent: tuple[float, ...]
    """Percent of the cells of its type `[n_stages]`, before they are scaled to sum to 100."""


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Two subsets that differ in whether two programmes agree: both on or both off = the first, one on = the second."""

    subsets: tuple[str, str]
    programmes: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class TissueDesign:
    """The whole design, read from `programmes.yaml`.

    Attributes
    ----------
    programmes
        Programme to species ("mouse", "human") to gene symbols.
    types, subsets, interactions
        In file order.
    activity
        Type ("any" = every type) to programme to mean share of mRNA `[n_stages]`.
    """

    programmes: dict[str, dict[str, tuple[str, ...]]]
    types: tuple[TypeDesign, ...]
    subsets: tuple[SubsetDesign, ...]
    interactions: tuple[Interaction, ...]
    activity: dict[str, dict[str, tuple[float, ...]]]

    @classmethod
    def load(cls, path: Path = DESIGN_FILE) -> TissueDesign:
        """Read a design.

        Raises
        ------
        ValueError
            If it names a type, subset or programme that it does not define, or a row is not one value per stage.
        """
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        design = cls(
            programmes={n: {s: tuple(g) for s, g in genes.items()} for n, genes in content["programmes"].items()},
            types=tuple(TypeDesign(id=key, **_frozen(value)) for key, value in content["types"].items()),
            subsets=tuple(SubsetDesign(id=key, **_frozen(value)) for key, value in content["subsets"].items()),
            interactions=tuple(Interaction(**_frozen(value)) for value in content["interactions"]),
            activity={t: {p: tuple(v) for p, v in row.items()} for t, row in content["activity"].items()},
        )
        design._check()
        return design

    def subsets_of(self, cell_type: str) -> tuple[SubsetDesign, ...]:
        """Return the subsets of a type, in file order; empty where it has none."""
        return tuple(subset for subset in self.subsets if subset.type == cell_type)

    def activity_of(self, cell_type: str) -> dict[str, tuple[float, ...]]:
        """Return programme to mean share of mRNA `[n_stages]` of a type: what holds for any, then its own."""
        return self.activity["any"] | self.activity.get(cell_type, {})

    def _check(self) -> None:
        types = [t.id for t in self.types]
        subsets = {s.id for s in self.subsets}
        named = {p for s in self.subsets for p in s.programmes} | {t.programme for t in self.types if t.programme}
        named |= {p for i in self.interactions for p in i.programmes} | {
            p for row in self.activity.values() for p in row
        }
        rows = [t.percent for t in self.types] + [s.percent for s in self.subsets]
        rows += [values for row in self.activity.values() for values in row.values()]
        late = [t.id for n, t in enumerate(self.types) if t.like is not None and t.like not in types[:n]]
        strangers = {n for s in self.subsets for n in s.neighbors} | {n for i in self.interactions for n in i.subsets}
        faults = [
            *(named - set(self.programmes)),
            *(strangers - subsets),
            *late,
            *({s.type for s in self.subsets} - set(types)),
        ]
        if faults or any(len(row) != N_STAGES for row in rows):
            raise ValueError(f"Expected known names and {N_STAGES} values per row but got {sorted(faults)}.")


def _frozen(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
