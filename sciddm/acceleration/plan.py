"""What is taken over from a model's card to make its networks and solvers quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar

from sciddm.errors import ModelError

__all__ = ["NO_PLAN", "SHORTCUTS", "Plan"]

S = TypeVar("S")

#: Entries of a card's plan, in the order in which they are certified.
SHORTCUTS = ("norm_silu", "attention", "settings")


@dataclass(frozen=True)
class Plan:
    """The shortcuts of one model, each certified against the pipeline without it.

    Attributes:
        norm_silu: the backward of ``acceleration.norm_silu``; changes results by rounding.
        attention: the backward of ``acceleration.attention``; changes results by rounding.
        settings: by quality, values that take the place of the pipeline's own.
    """

    norm_silu: bool = False
    attention: bool = False
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def from_card(cls, entry: Mapping[str, Any]) -> Self:
        """The plan of a card's ``acceleration``.

        Raises:
            ModelError: an entry that no plan has, or a value of the wrong type.
        """
        unknown = sorted(set(entry) - set(SHORTCUTS))
        if unknown:
            known = ", ".join(SHORTCUTS)
            raise ModelError(f"acceleration has no {', '.join(unknown)}, only {known}: correct it")
        for name in ("norm_silu", "attention"):
            if not isinstance(entry.get(name, False), bool):
                raise ModelError(f"acceleration: {name} is true or false: correct it")
        settings = entry.get("settings", {})
        if not isinstance(settings, Mapping) or not all(
            isinstance(v, Mapping) for v in settings.values()
        ):
            raise ModelError("acceleration: settings are values by quality: correct it")
        return cls(**{**entry, "settings": dict(settings)})

    def apply(self, settings: S, quality: str) -> S:
        """A pipeline's settings (a dataclass) with the plan's values for a quality.

        Raises:
            ModelError: the pipeline's settings have no such value.
        """
        values = self.settings.get(quality, {})
        known = {f.name for f in fields(settings)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(f"acceleration: {quality} has no setting {', '.join(unknown)}")
        out: S = replace(settings, **values)  # type: ignore[type-var]
        return out


#: Of a model whose card has none.
NO_PLAN = Plan()
