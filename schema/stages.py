"""Stage scales: the ordered levels a sample can have, and how a user's value becomes one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from schema.errors import InputError, UsageError
from schema.labels import UNLABELLED
from schema.names import normalise_name
from schema.stage_levels import StageLevel, StrainAges
from schema.stage_refusals import RefusedStage
from schema.stage_values import (
    age_in_weeks,
    day_after_inoculation,
    is_adjacent_tissue,
    is_bare_number,
    is_grade,
    is_tnm_category,
    read_anatomic,
)

SCALES_FILE = Path(__file__).with_name("stage_scales.yaml")
_NOT_KNOWN = frozenset({"", "nan", "na", "n/a", "none", "unknown", "null"})


@dataclass(frozen=True)
class StageScale:
    """Ordered levels of a sample, lowest first; the code of a level is its position.

    Attributes
    ----------
    id, name
        Short stable id and the name people read.
    species
        "mouse", "human" or "any".
    levels
        Lowest first.
    axis
        What is ordered; scales of different axes are never joined.
    strains
        What ages of mice say about their stage.
    sources
        Scales whose levels are joined into these; each is read from files of its own species.
    """

    id: str
    name: str
    species: str
    levels: tuple[StageLevel, ...]
    axis: str = "disease"
    strains: tuple[StrainAges, ...] = ()
    sources: tuple[StageScale, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a scale of which two levels answer to one name, day or member, or one that joins two axes."""
        for code, level in enumerate(self.levels):
            for name in level.names:
                if self.code_by_name[normalise_name(name)] != code or self._codes_in_sources(name, None) - {code}:
                    raise ValueError(f"Expected {name!r} to mean one level of {self.id} but got two.")
            if any(self._codes_at(day) != {code} for day in level.days or ()):
                raise ValueError(f"Expected the days {level.days} in one level of {self.id} but got two.")
        if any(source.axis != self.axis for source in self.sources):
            raise ValueError(f"Expected scales of the axis {self.axis} in {self.id} but got one of another.")
        joined = sorted(member for level in self.levels for member in level.members)
        if joined != sorted(level.id for source in self.sources for level in source.levels):
            raise ValueError(f"Expected every level of the sources of {self.id} once but got {joined}.")
        if not {age.level for strain in self.strains for age in strain.ages} <= {level.id for level in self.levels}:
            raise ValueError(f"Expected ages of levels of {self.id} but got others.")

    @cached_property
    def code_by_name(self) -> dict[str, int]:
        """Normalised id, name or synonym to code."""
        return {normalise_name(name): code for code, level in enumerate(self.levels) for name in level.names}

    @property
    def takes_ages(self) -> bool:
        """Whether the age of a mouse of some strain says a level."""
        return bool(self.strains) or any(source.takes_ages for source in self.sources)

    def code(self, value: object, where: str, *, strain: str = "", species: str | None = None) -> int:
        """Return the code of a stage value; UNLABELLED where it says "not known".

        Parameters
        ----------
        value
            What `codes` takes.
        where
            Where it stands, for the error.
        strain, species
            As in `codes`.

        Raises
        ------
        InputError
            If the value means no level of this scale, or may mean several.
        """
        if normalise_name(value) in _NOT_KNOWN:
            return UNLABELLED
        codes = self.codes(value, strain=strain, species=species)
        if len(codes) == 1:
            return codes[0]
        refused = RefusedStage(value=value, scale=self.id, where=where)
        if codes:
            raise refused.ambiguous([self.levels[code].name for code in codes], strain)
        raise self._no_stage(refused, species) or self._no_age(refused, strain, species) or self._no_level(refused)

    def codes(self, value: object, *, strain: str = "", species: str | None = None) -> list[int]:
        """Return the codes of all levels that a value may mean, lowest first.

        Parameters
        ----------
        value
            A name; on scales that have them a day after inoculation, an age in weeks or an anatomic stage.
        strain
            Strain of the mouse, without which an age says nothing; "" = not known.
        species
            "mouse" or "human": only scales of that species are asked for their names; None = all.
        """
        if is_adjacent_tissue(value):
            return []
        if (form := normalise_name(value)) in self.code_by_name:
            return [self.code_by_name[form]]
        day, weeks, ages = day_after_inoculation(value), age_in_weeks(value), _find_strain(self.strains, strain)
        found = self._codes_anatomic(value) | self._codes_in_sources(value, species, strain)
        if day is not None:
            found |= self._codes_at(day)
        if weeks is not None and ages is not None:
            usual = {age.level for age in ages.ages if age.holds(weeks)}
            found |= {code for code, level in enumerate(self.levels) if level.id in usual}
        return sorted(found)

    def _codes_at(self, day: int) -> set[int]:
        return {code for code, level in enumerate(self.levels) if level.days and level.days[0] <= day <= level.days[1]}

    def _codes_anatomic(self, value: object) -> set[int]:
        """Return the code of an anatomic stage, or those of all its substages where none is given."""
        stage = read_anatomic(value)
        if stage is None or not stage.is_first_untreated:
            return set()
        written = [stage.group + stage.part]
        if written[0] not in self.code_by_name and not stage.part:
            written = [stage.group + part for part in "abc"]
        return {self.code_by_name[name] for name in written if name in self.code_by_name}

    def _codes_in_sources(self, value: object, species: str | None, strain: str = "") -> set[int]:
        """Return the codes of the levels into which scales of a species put a value."""
        asked = [source for source in self.sources if species in (None, source.species)]
        members = {source.levels[code].id for source in asked for code in source.codes(value, strain=strain)}
        return {code for code, level in enumerate(self.levels) if members & set(level.members)}

    def _no_stage(self, refused: RefusedStage, species: str | None) -> InputError | None:
        """Return the error for what is no stage on any scale, or is one of the other species."""
        value, is_human = refused.value, "human" in (self.species, species)
        stage = read_anatomic(value)
        if is_adjacent_tissue(value):
            return refused.adjacent()
        if stage is not None and not stage.is_first_untreated:
            return refused.after_therapy_or_recurrence(stage.prefix)
        if is_grade(value, human=is_human):
            return refused.grade()
        if is_human and is_tnm_category(value):
            return refused.tnm_category()
        others = [source.id for source in self.sources if species not in (None, source.species) and source.codes(value)]
        return refused.other_species(str(species), others[0]) if others else None

    def _no_age(self, refused: RefusedStage, strain: str, species: str | None) -> InputError | None:
        """Return the error for an age, on scales that take ages of some strains."""
        asked = [source for source in self.sources if species in (None, source.species)]
        strains = [known for scale in (self, *asked) for known in scale.strains]
        if not strains or age_in_weeks(refused.value) is None:
            return None
        if normalise_name(strain) in _NOT_KNOWN:
            return refused.age_without_strain()
        ages = _find_strain(strains, strain)
        if ages is None or not ages.ages:
            known = [each.id for each in strains if each.ages]
            return refused.age_of_strain(strain, ages.note if ages else "", known)
        return refused.age_outside(ages.id, [age.shown for age in ages.ages])

    def _no_level(self, refused: RefusedStage) -> InputError:
        """Return the error for a value that names no level here, and say where it would."""
        scales = () if is_bare_number(refused.value) else _project_scales().values()
        others = [scale for scale in scales if scale.id != self.id and scale.codes(refused.value)]
        if others and all(scale.axis != self.axis for scale in others):
            return refused.other_axis(self.axis, others[0].id, others[0].axis)
        if days := [level.days for level in self.levels if level.days]:
            return refused.no_day(f"{days[0][0]}-{days[-1][1]}")
        names = [name for scale in (self, *self.sources) for level in scale.levels for name in level.names]
        return refused.unknown(names, [level.name for level in self.levels], [scale.id for scale in others])

    def to_dict(self) -> dict[str, Any]:
        """Return the scale as plain lists and strings, as `from_dict` reads it, without what it does not have."""
        parts = {name: [part.to_dict() for part in getattr(self, name)] for name in ("levels", "strains", "sources")}
        kept = {name: values for name, values in parts.items() if values}
        return {"id": self.id, "name": self.name, "species": self.species, "axis": self.axis} | kept

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StageScale:
        """Build a scale from plain lists and strings.

        Raises
        ------
        KeyError, TypeError, ValueError
            If keys are missing or unknown, or the scale contradicts itself.
        """
        levels = tuple(StageLevel.from_dict(level) for level in content["levels"])
        strains = tuple(StrainAges.from_dict(strain) for strain in content.get("strains", ()))
        sources = tuple(cls.from_dict(source) for source in content.get("sources", ()))
        return cls(**dict(content) | {"levels": levels, "strains": strains, "sources": sources})

    @classmethod
    def load(cls, scale_id: str) -> StageScale:
        """Return one of the project's scales by id.

        Raises
        ------
        UsageError
            If there is no such scale.
        """
        scales = _project_scales()
        if scale_id not in scales:
            raise UsageError(
                "a stage scale must be a known one",
                got=repr(scale_id),
                where="data.stage_scale",
                fix=f"Use one of {', '.join(scales)}.",
            )
        return scales[scale_id]


@cache
def _project_scales() -> dict[str, StageScale]:
    """Return all scales of the project by id; sources stand before the scales that join them."""
    scales: dict[str, dict[str, Any]] = {}
    for content in yaml.safe_load(SCALES_FILE.read_text(encoding="utf-8"))["scales"]:
        scales[content["id"]] = content | {"sources": [scales[source] for source in content.get("sources", ())]}
    return {scale_id: StageScale.from_dict(content) for scale_id, content in scales.items()}


def _find_strain(strains: Iterable[StrainAges], name: str) -> StrainAges | None:
    form = normalise_name(name)
    return next((s for s in strains if form in {normalise_name(known) for known in (s.id, *s.synonyms)}), None)
