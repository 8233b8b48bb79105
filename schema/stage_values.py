"""What the text of a stage value says, before any scale is asked: days, an age, an anatomic stage, a grade."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from schema.names import normalise_name

_ADJACENT = re.compile(
    r"adj(?!uv|ust)|\bnats?\b|\b(?:peri|para|juxta) ?(?:tumou?r|cancer|carcinoma|neoplas)"
    r"|\buninvolved\b|\b(?:matched|paired) normal\b"
)
_DAY = re.compile(
    r"(?:(?:d|day|days|dpi) ?)?([0-9]{1,6})(?:\.0+)? ?(?:d|dpi|day|days)?"
    r"(?: (?:post|after|since)[ -](?:tumou?r )?(?:inoculation|injection|implantation|transplant(?:ation)?))?"
)
_AGE = re.compile(
    r"(?:aged? )?(?:(?:w|wk|week)[ -]?([0-9]{1,3}(?:\.[0-9]+)?)"
    r"|([0-9]{1,3}(?:\.[0-9]+)?)[ -]?(?:w|wks?|weeks?)(?:[ -]old| of age)?)"
)
_ANATOMIC = re.compile(
    r"(?P<ajcc>ajcc )?(?:(?:anatomic(?:al)?|path(?:ologic(?:al)?)?|clin(?:ical)?) )?"
    r"(?P<prefix>[yr]{0,2}[cp]?) ?(?P<stage>stage ?:? ?)?(?P<group>0|i{1,3}|iv|[1-4])(?: ?(?P<part>[abc]))?"
)
_GRADE_WORD = re.compile(r"grade|nottingham|\belston\b|\bbloom\b|differentiated")
_GRADE_SIGN = re.compile(r"g ?(?:[1-4x]|i{1,3})")
_CATEGORY = r"[acpyr]{0,3}[tnm](?:is|x|[0-4](?:mi|[a-d])?)"
_CATEGORIES = re.compile(rf"{_CATEGORY}(?:[ ,/]*{_CATEGORY})*")
_ROMAN = {"1": "i", "2": "ii", "3": "iii", "4": "iv"}


class AnatomicStage(NamedTuple):
    """An anatomic stage as written: prefix letters (of c, p, y, r), group (0, i to iv), substage (a, b, c or none)."""

    prefix: str
    group: str
    part: str

    @property
    def is_first_untreated(self) -> bool:
        """Whether neither y (after therapy) nor r (recurrence) stands before it."""
        return not set(self.prefix) & {"y", "r"}


def is_adjacent_tissue(value: object) -> bool:
    """Return whether a value says that the tissue lay beside a tumour; such tissue is not healthy.

    Examples
    --------
    >>> is_adjacent_tissue("Normal-adjacent"), is_adjacent_tissue("normal gland")
    (True, False)
    """
    return _ADJACENT.search(normalise_name(value)) is not None


def day_after_inoculation(value: object) -> int | None:
    """Return the whole days a value counts; None where it counts none, or could be meant as negative ("day -3").

    Examples
    --------
    >>> [day_after_inoculation(v) for v in ("day 14", "d14", "14", "14 days", "D-3")]
    [14, 14, 14, 14, None]
    """
    found = _DAY.fullmatch(_text(value))
    return int(found[1]) if found else None


def age_in_weeks(value: object) -> float | None:
    """Return the age that a value states in weeks; None where it states none.

    Examples
    --------
    >>> [age_in_weeks(v) for v in ("week 11", "W08", "11.5 weeks old", "11")]
    [11.0, 8.0, 11.5, None]
    """
    found = _AGE.fullmatch(_text(value))
    return float(found[1] or found[2]) if found else None


def read_anatomic(value: object) -> AnatomicStage | None:
    """Return the anatomic stage that a value writes; None where it writes none.

    An Arabic group needs the word stage or a substage beside it: a bare "3" may as well be a grade.

    Examples
    --------
    >>> read_anatomic("pStage IIIA"), read_anatomic("stage 3a").group, read_anatomic("pT2")
    (AnatomicStage(prefix='p', group='iii', part='a'), 'iii', None)
    """
    found = _ANATOMIC.fullmatch(normalise_name(unicodedata.normalize("NFKC", str(value))))
    if found is None:
        return None
    prefix, group, part = found["prefix"], found["group"], found["part"] or ""
    is_stage = bool(found["stage"] or found["ajcc"])
    if group.isdigit() and not (is_stage or (part and not prefix)):
        return None
    return AnatomicStage(prefix, _ROMAN.get(group, group), part)


def is_bare_number(value: object) -> bool:
    """Return whether a value is a number without a word or letter that says what it counts."""
    return re.fullmatch(r"[-+]?[0-9]+(?:\.[0-9]*)?", _text(value)) is not None


def is_grade(value: object, *, human: bool) -> bool:
    """Return whether a value states a histological grade; "G2" is one only where people are meant."""
    form = normalise_name(value)
    return bool(_GRADE_WORD.search(form) or (human and _GRADE_SIGN.fullmatch(form)))


def is_tnm_category(value: object) -> bool:
    """Return whether a value consists of T, N and M categories, as "pT2" or "T2 N0 M0"."""
    return _CATEGORIES.fullmatch(normalise_name(value)) is not None


def _text(value: object) -> str:
    """Return the value in lower case with single spaces; dashes stay, because a dash may be a minus sign."""
    return " ".join(str(value).casefold().replace("_", " ").split())
