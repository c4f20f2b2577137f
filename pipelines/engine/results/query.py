r"""Which rows are wanted: a small language without names, calls or attributes of Python.

    condition:  alternative {"or" alternative}
    alternative: term {"and" term}
    term:       "not" term | "(" condition ")" | COLUMN [OPERATOR VALUE]
    OPERATOR:   == != < <= > >= ~

``~`` is "contains", in either case. A column alone asks whether it holds anything. Values are
numbers, words, or texts in quotation marks. An empty cell is equal to nothing, and satisfies no
comparison but ``!=``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sciddm.errors import OptionError
from sciddm.pipelines.engine.results.row import Row

__all__ = ["condition", "ordered"]

Test = Callable[[Row], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<op>==|!=|<=|>=|=|<|>|~)|(?P<bracket>[()])"""
    r"""|"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<word>[^\s()=!<>~"']+))"""
)
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = ("and", "or", "not")
_DEEPEST = 50


def condition(text: str, columns: Sequence[str]) -> Test:
    """The test that a condition describes.

    Args:
        text: such as ``fits==no and seconds>10``.
        columns: that there are.

    Raises:
        OptionError: it is no condition, or names a column that is not there.
    """
    return _Parser(text, columns).whole()


def ordered(rows: Sequence[Row], column: str, columns: Sequence[str], falling: bool) -> list[Row]:
    """Rows by the values of a column: numbers, then texts, empty cells last.

    Raises:
        OptionError: there is no such column.
    """
    if column not in columns:
        raise OptionError("sort", f"there is no such column, only {', '.join(columns)}", column)
    filled = [row for row in rows if not _empty(row.get(column))]
    others = [row for row in rows if _empty(row.get(column))]
    return sorted(filled, key=lambda row: _key(row[column]), reverse=falling) + others


class _Parser:
    def __init__(self, text: str, columns: Sequence[str]) -> None:
        self._text, self._columns = text, columns
        self._tokens = list(self._split())
        self._at = 0
        self._depth = 0

    def whole(self) -> Test:
        test = self._any()
        if self._at < len(self._tokens):
            raise self._error(f"{self._tokens[self._at][1]!r} is not expected")
        return test

    def _split(self) -> Iterator[tuple[str, str]]:
        at, end = 0, len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                raise self._error(f"{self._text[at:].strip()[:10]!r} is not expected")
            kind = str(match.lastgroup)
            value = match[kind]
            lower = value.lower()
            if kind == "word" and lower in _WORDS:
                kind, value = lower, lower
            yield kind, value
            at = match.end()

    def _any(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error("it has too many brackets")
        tests = [self._all()]
        while self._take("or"):
            tests.append(self._all())
        self._depth -= 1
        return lambda row: any(test(row) for test in tests)

    def _all(self) -> Test:
        tests = [self._term()]
        while self._take("and"):
            tests.append(self._term())
        return lambda row: all(test(row) for test in tests)

    def _term(self) -> Test:
        negations = 0
        while self._take("not"):
            negations += 1
        test = self._plain()
        return (lambda row: not test(row)) if negations % 2 else test

    def _plain(self) -> Test:
        if self._take("bracket", "("):
            test = self._any()
            if not self._take("bracket", ")"):
                raise self._error("a bracket is not closed")
            return test
        name = self._take("word")
        if name is None:
            raise self._error("a column is missing")
        if name not in self._columns:
            raise self._error(f"there is no column {name!r}, only {', '.join(self._columns)}")
        sign = self._take("op")
        if sign is None:
            return lambda row: not _empty(row.get(name)) and row[name] is not False
        value = next(
            (v for k in ("word", "double", "single") if (v := self._take(k)) is not None), None
        )
        if value is None:
            raise self._error(f"a value is missing behind {sign}")
        return _comparison(name, sign, value)

    def _take(self, kind: str, value: str | None = None) -> str | None:
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token[0] == kind and value in (None, token[1]):
                self._at += 1
                return token[1]
        return None

    def _error(self, problem: str) -> OptionError:
        return OptionError("where", f"{problem}; take COLUMN==VALUE and the like", self._text[:60])


def _comparison(name: str, sign: str, value: str) -> Test:
    number = _number(value)

    def test(row: Row) -> bool:
        cell = row.get(name)
        if _empty(cell):
            return sign == "!="
        if sign == "~":
            return value.lower() in _text(cell).lower()
        own = _number(cell)
        left: Any = own if own is not None and number is not None else _text(cell).lower()
        right: Any = number if own is not None and number is not None else value.lower()
        return bool(_COMPARISONS[sign](left, right))

    return test


def _empty(cell: Any) -> bool:
    return cell is None or cell == "" or cell == []


def _number(cell: Any) -> float | None:
    if isinstance(cell, bool):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return " ".join(map(str, cell)) if isinstance(cell, list) else str(cell)


def _key(cell: Any) -> tuple[int, float, str]:
    number = _number(cell)
    return (1, 0.0, _text(cell).lower()) if number is None else (0, number, "")
