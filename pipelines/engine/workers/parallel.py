"""How the items of a batch are divided: among processes, machines, and command lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from sciddm.errors import OptionError

__all__ = ["ALONE", "WHOLE", "Parallel", "Part", "Patience", "bytes_of"]

T = TypeVar("T")

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {f"{name}i": 1024 ** (k + 1) for k, name in enumerate("kmgt")}


@dataclass(frozen=True)
class Part:
    """One of several command lines that share a batch without knowing of each other.

    Attributes:
        number: from 1.
        count: of parts.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def of(cls, text: str) -> Self:
        """``2/8`` is the second of eight parts.

        Raises:
            OptionError: anything else.
        """
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise OptionError("part", "take i/n with i from 1 to n, such as 2/8", text[:20])
        return cls(int(match[1]), int(match[2]))

    def select(self, items: Sequence[T]) -> Sequence[T]:
        """Every ``count``-th item: neighbours, which are often alike, go to different parts."""
        return items[self.number - 1 :: self.count]


WHOLE = Part()


@dataclass(frozen=True)
class Patience:
    """How long is waited, in seconds.

    Attributes:
        scheduler: for another scheduler where one is gone.
        busy: for a process that still holds an item which this batch has been given back.
    """

    scheduler: float = 600.0
    busy: float = 120.0


@dataclass(frozen=True)
class Parallel:
    """Who does the items of a batch; nothing of it decides a result.

    Attributes:
        jobs: worker processes on this machine; 1 for none beside this one.
        scheduler: address of a dask scheduler, whose workers do the items; None for none.
        part: of the items, those that this command line does.
        tries: workers that one item may cost before it counts as failed.
        memory: bytes that each worker may use, None for as many as there are.
        threads: processor threads of each worker; None for the cores divided by the workers.
    """

    jobs: int = 1
    scheduler: str | None = None
    part: Part = WHOLE
    tries: int = 2
    memory: int | None = None
    threads: int | None = None

    @property
    def divides(self) -> bool:
        """Whether other processes do the items."""
        return self.jobs > 1 or self.scheduler is not None


#: One process, all items.
ALONE = Parallel()


def bytes_of(text: str) -> int:
    """Bytes of a size such as 4G, 500M or 2GiB.

    Raises:
        OptionError: it is none, or zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", text.strip().lower())
    size = 0 if not match else int(float(match[1]) * _UNITS.get(match[2], 0))
    if not size:
        raise OptionError("memory", "take a number of bytes, such as 4G", text[:20])
    return size
