"""Counting what a computation costs: network evaluations, vector-Jacobian products, operators.

The counts are kept apart from the objects that cause them, so denoisers and operators stay
without state and a result can say exactly what it took::

    with tally() as cost:
        ...
    cost.nfe, cost.nvjp, cost.noperator

Nested tallies each count everything inside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Cost", "record", "tally"]


@dataclass
class Cost:
    """Counts over all items of a batch: one network call on a batch of 8 is 8 evaluations."""

    nfe: int = 0
    nvjp: int = 0
    noperator: int = 0


_open: ContextVar[tuple[Cost, ...]] = ContextVar("sciddm_tallies", default=())


@contextmanager
def tally() -> Iterator[Cost]:
    """Counts everything recorded inside the ``with`` block."""
    cost = Cost()
    token = _open.set((*_open.get(), cost))
    try:
        yield cost
    finally:
        _open.reset(token)


def record(*, nfe: int = 0, nvjp: int = 0, noperator: int = 0) -> None:
    """Adds to every open tally; costs nothing where none is open."""
    for cost in _open.get():
        cost.nfe += nfe
        cost.nvjp += nvjp
        cost.noperator += noperator
