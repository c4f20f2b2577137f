"""Methods by name."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from sciddm.classical.spectral.interface import Method
from sciddm.errors import InputError, OptionError
from sciddm.method_choice import OWN, MethodChoice

__all__ = ["METHODS", "QUALITIES", "build_method", "method_class"]

QUALITIES = ("fast", "balanced", "best")
#: Where each method is. Modules are imported when a method is asked for: some need networks.
METHODS = {
    "subspace": "sciddm.pipelines.hsi.methods.subspace.Subspace",
    "finch": "sciddm.pipelines.hsi.methods.finch.Finch",
    "dds2m": "sciddm.pipelines.hsi.methods.dds2m.DDS2M",
    "tv": "sciddm.classical.spectral.tv.BandwiseTotalVariation",
    "lowrank": "sciddm.classical.spectral.lowrank.LowRank",
    "destripe": "sciddm.classical.spectral.destripe.Destripe",
}
#: Methods that take a quality, and whether they take a model.
_GRADED = {"subspace": True, "finch": True, "dds2m": False}
#: Methods whose standard deviation is that of samples.
_SAMPLED = ("subspace", "finch")


def build_method(
    name: str,
    model: str | Path | None = None,
    quality: str = "balanced",
    samples: int | None = None,
    choice: MethodChoice = OWN,
) -> Method:
    """A method, ready for `fit`.

    Args:
        name: a key of METHODS.
        model: bundled model, model folder or hub id; the method's own if None.
        quality: fast, balanced or best; what it means is up to the method.

        samples: of the posterior, from which the standard deviation is; those of the quality if
            None.
        choice: of another solver and number of steps ("subspace").

    Raises:
        InputError: unknown method or quality, or a model or samples for a method that has none.
        ModelError: there is no such model.
    """
    method = method_class(name)
    if quality not in QUALITIES:
        raise InputError(f"unknown quality {quality!r}: take one of {', '.join(QUALITIES)}")
    if model is not None and not _GRADED.get(name, False):
        raise InputError(f"the method {name} has no model: leave --model out")
    if samples is not None and name not in _SAMPLED:
        raise InputError(f"the method {name} draws no samples: leave --samples out")
    if samples is not None and samples < 2:
        raise InputError(f"--samples {samples}: a standard deviation needs 2 or more")
    choice.check(stochastic=True)
    if not choice.own and name != "subspace":
        option = "steps" if choice.sampler is None else "sampler"
        raise OptionError(option, f"{name} takes none: take subspace")
    if name not in _GRADED:
        out: Method = method()
        return out
    made = method(quality=quality) if model is None else method(model=model, quality=quality)
    if samples is not None:
        made.settings = replace(made.settings, samples=samples)
    if choice.steps is not None:
        made.settings = replace(made.settings, steps=choice.steps)
    if not choice.own:
        made.choice = choice
    out = made
    return out


def method_class(name: str) -> Any:
    """The class of a method, by which is known what it gives.

    Raises:
        InputError: unknown method.
    """
    if name not in METHODS:
        raise InputError(f"unknown method {name}: one of {', '.join(METHODS)}")
    module, _, kind = METHODS[name].rpartition(".")
    return getattr(importlib.import_module(module), kind)
