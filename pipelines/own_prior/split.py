"""Which groups train, which validate and which test; a function of their names alone.

    order     by the SHA-256 of the group's name
    validate  the first 15 % of the groups, at least one: early stopping, factor, limit of the shift
    test      the next 15 %, from four groups on: figures of the card, chosen for nothing
    train     all others

A group is on one side only. Sources with the same values belong together even if their groups do
not: such groups are joined first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

__all__ = ["PARTS", "Part", "joined", "parts_of"]

Part = Literal["train", "validate", "test"]

#: In the order of their use.
PARTS: tuple[Part, ...] = ("train", "validate", "test")
_SHARE = 0.15
_LEAST_FOR_TEST = 4


def parts_of(groups: Sequence[str]) -> dict[str, Part]:
    """The part of every group.

    Args:
        groups: names, two different ones at least; doubles count once.

    Raises:
        ValueError: fewer than two groups.
    """
    names = sorted(
        set(groups),
        key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest(),
    )
    if len(names) < 2:
        raise ValueError(f"{len(names)} groups cannot be split")
    validate = max(1, round(_SHARE * len(names)))
    test = validate if len(names) >= _LEAST_FOR_TEST else 0
    return {
        name: "validate" if k < validate else "test" if k < validate + test else "train"
        for k, name in enumerate(names)
    }


def joined(groups: Mapping[str, str], digests: Mapping[str, str]) -> dict[str, str]:
    """The group of each source after groups that share a source's values have become one.

    Args:
        groups: source -> group.
        digests: source -> hash of its values.
    """
    parent = {group: group for group in groups.values()}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    first: dict[str, str] = {}
    for source, group in groups.items():
        other = first.setdefault(digests[source], group)
        low, high = sorted((root(group), root(other)))
        parent[high] = low
    return {source: root(group) for source, group in groups.items()}
