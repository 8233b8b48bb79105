"""What a stage scale is made of: its levels, and the ages at which mice of a strain are usually at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class StageLevel:
    """One level of a scale.

    Attributes
    ----------
    id, name
        Short stable id and the name people read.
    synonyms
        Other names that mean it.
    days
        First and last day after inoculation, whole days, both included; None where a scale does not go by days.
    members
        Ids of the levels of other scales that are one in this level.
    """

    id: str
    name: str
    synonyms: tuple[str, ...] = ()
    days: tuple[int, int] | None = None
    members: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse days that are no range."""
        if self.days is not None and not 0 <= self.days[0] <= self.days[1]:
            raise ValueError(f"Expected 0 <= first day <= last day at {self.id} but got {self.days}.")

    @property
    def names(self) -> tuple[str, ...]:
        """All that means this level: id, name, synonyms."""
        return (self.id, self.name, *self.synonyms)

    def to_dict(self) -> dict[str, Any]:
        """Return the level as plain lists and strings, without what it does not have."""
        return _plain(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StageLevel:
        """Build a level from plain lists and strings; KeyError or TypeError where keys are missing or unknown."""
        return cls(**_with_tuples(content))


@dataclass(frozen=True, kw_only=True)
class AgeRange:
    """Ages at which mice of a strain are usually at a level.

    Attributes
    ----------
    level
        Id of the level.
    first, last
        Weeks, both included; `last` None = from then on.
    """

    level: str
    first: float
    last: float | None = None

    def holds(self, weeks: float) -> bool:
        """Return whether an age in weeks lies in the range."""
        return self.first <= weeks and (self.last is None or weeks <= self.last)

    @property
    def shown(self) -> str:
        """The range as an error shows it."""
        return f"{self.level} from {self.first:g}" + ("" if self.last is None else f" to {self.last:g}")


@dataclass(frozen=True, kw_only=True)
class StrainAges:
    """What the age of a mouse of a strain says about its stage.

    Attributes
    ----------
    id, synonyms
        The strain and its other names.
    ages
        Ranges, which may overlap; none where age says nothing.
    note
        What the ages are of, or why there are none.
    """

    id: str
    synonyms: tuple[str, ...] = ()
    ages: tuple[AgeRange, ...] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the strain as plain lists and strings, without what it does not have."""
        return _plain(self) | {"ages": [_plain(age) for age in self.ages]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StrainAges:
        """Build a strain from plain lists and strings; KeyError or TypeError where keys are missing or unknown."""
        return cls(**_with_tuples(content) | {"ages": tuple(AgeRange(**age) for age in content["ages"])})


def _plain(part: StageLevel | AgeRange | StrainAges) -> dict[str, Any]:
    """Return the fields that say something; synonyms always."""
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    kept = {name: value for name, value in values.items() if name == "synonyms" or value not in ((), None, "")}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}


def _with_tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(content["synonyms"], list):
        raise TypeError(f"Expected a list of synonyms but got {content['synonyms']!r}.")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
