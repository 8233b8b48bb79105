"""Why a stage value was refused, one error per reason; each says how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schema.errors import InputError
from schema.names import nearest_names
from schema.stage_values import age_in_weeks, is_bare_number

_BLANK = "leave the stage of these samples blank, which makes them unlabelled"
_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class RefusedStage:
    """A value that is not taken, the scale that did not take it, and where it stood. Methods return the error."""

    value: object
    scale: str
    where: str

    @property
    def shown(self) -> str:
        """The value as an error shows it."""
        text = repr(str(self.value))
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

    def adjacent(self) -> InputError:
        """Refuse tissue beside a tumour, which is not healthy."""
        return self._error("tissue beside a tumour is not healthy and has no stage", fix=f"Go on: {_BLANK}.")

    def ambiguous(self, candidates: Sequence[str], strain: str) -> InputError:
        """Refuse what fits several levels, at an age of a strain or for want of a substage."""
        of_strain = f" of strain {strain!r}" if age_in_weeks(self.value) is not None else ""
        got = f"{self.shown}{of_strain}, which may be {', '.join(candidates)},"
        return self._error(
            f"a stage value must mean one level of the scale {self.scale}", got, fix=f"Say which, or {_BLANK}."
        )

    def age_without_strain(self) -> InputError:
        """Refuse an age alone, because strains progress at different speeds."""
        return self._error(
            "an age says a stage only where the strain is known, because strains differ by weeks",
            f"{self.shown} and no strain",
            fix=f"Name the obs column of the strain (data.columns.strain), give the stage by histology, or {_BLANK}.",
        )

    def age_of_strain(self, strain: str, note: str, known: Sequence[str]) -> InputError:
        """Refuse an age of a strain of which no ages are known."""
        return self._error(
            f"an age says a stage only for strains whose ages are known ({', '.join(known)})",
            f"{self.shown} of strain {strain!r}" + (f", which {note}," if note else ""),
            fix=f"Give the stage by histology, or {_BLANK}.",
        )

    def age_outside(self, strain: str, ranges: Sequence[str]) -> InputError:
        """Refuse an age at which no stage is usual."""
        return self._error(
            f"an age must lie in the range of a stage ({strain}, weeks: {', '.join(ranges)})",
            fix=f"Give the stage by histology, or {_BLANK}.",
        )

    def after_therapy_or_recurrence(self, prefix: str) -> InputError:
        """Refuse y and r stages, which do not say how far an untreated tumour has come."""
        why = "after therapy (y)" if "y" in prefix else "of a recurrence (r)"
        return self._error(
            f"an anatomic stage is that of the first, untreated tumour, not one {why}",
            fix=f"Give the stage before therapy or recurrence, or {_BLANK}.",
        )

    def grade(self) -> InputError:
        """Refuse a grade, which is a covariate."""
        return self._error(
            "a grade is not a stage: it says how abnormal the cells look, not how far the disease has come",
            fix=f"Keep it in another column; give the anatomic stage, or {_BLANK}.",
        )

    def tnm_category(self) -> InputError:
        """Refuse T, N and M categories, none of which makes a stage."""
        return self._error(
            "a T, N or M category is not a stage", fix=f"Give the stage group that it leads to (IIA ...), or {_BLANK}."
        )

    def other_species(self, species: str, source: str) -> InputError:
        """Refuse a level of the other species; each source is read from files of its own."""
        return self._error(
            f"a stage must be one of the species of its file ({species})",
            f"{self.shown}, a level of {source},",
            fix=f"Correct it, or {_BLANK}.",
        )

    def no_day(self, days: str) -> InputError:
        """Refuse what counts no day that a level holds."""
        return self._error(
            f"a stage on the scale {self.scale} is a whole number of days after inoculation ({days})",
            fix=f"Write it as 'day 14' (no weeks, ages or minus signs), or {_BLANK}.",
        )

    def other_axis(self, axis: str, other: str, other_axis: str) -> InputError:
        """Refuse a level of a scale that must never be mixed with this one."""
        return self._error(
            f"{other_axis} is another axis than {axis}, and they never share a scale",
            f"{self.shown}, a level of {other},",
            where=f"{self.where}, on the scale {self.scale}",
            fix=f"Choose data.stage_scale: {other} for a run of such samples alone, or {_BLANK}.",
        )

    def unknown(self, names: Sequence[str], levels: Sequence[str], elsewhere: Sequence[str]) -> InputError:
        """Refuse what no level answers to; `elsewhere` are the scales that would."""
        near = [] if is_bare_number(self.value) else nearest_names(self.value, names)
        hints = ([f"nearest: {', '.join(near)}"] if near else []) + (
            [f"a level of {', '.join(elsewhere)}"] if elsewhere else []
        )
        return self._error(
            f"every stage must be a level of the scale {self.scale}",
            self.shown + (f" ({'; '.join(hints)})" if hints else ""),
            fix=f"Use one of {', '.join(levels)}, or choose another data.stage_scale.",
        )

    def _error(self, rule: str, got: str = "", *, fix: str, where: str = "") -> InputError:
        return InputError(rule, got=got or self.shown, where=where or self.where, fix=fix)
