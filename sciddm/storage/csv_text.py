"""Tables as text that a spreadsheet shows and does not obey.

A spreadsheet takes a cell that begins with one of ``= + - @`` for a formula, which can start
programs. Names of files and bands are somebody else's. A text that begins so gets an apostrophe,
which spreadsheets hide. A text with any character at which some spreadsheet divides cells is
quoted, the semicolon of many countries among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

__all__ = ["csv_text", "original_text"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_DIVIDING = frozenset(',;\t"\r\n')


def csv_text(
    rows: Iterable[Sequence[str | float]], *, digits: int | None = None, end: str = "\n"
) -> str:
    """The rows as comma-separated values.

    Args:
        rows: cells; a text is written so that it stays one, NaN as an empty cell.
        digits: of numbers; None for as many as tell them from all others.
        end: of each line.
    """
    return "".join(",".join(_cell(value, digits) for value in row) + end for row in rows)


def original_text(cell: str) -> str:
    """The text that ``csv_text`` has written into a cell."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _cell(value: str | float, digits: int | None) -> str:
    if not isinstance(value, str):
        if math.isnan(value):
            return ""
        return str(value) if digits is None else f"{value:.{digits}g}"
    text = f"'{value}" if _is_formula(value) else value
    if _DIVIDING.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _is_formula(text: str) -> bool:
    # Some programs leave out blanks before it.
    return text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
