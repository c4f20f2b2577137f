"""What a domain says of a prior of one's own: which files, in which form, trained and checked how.

A domain has one ``Contract``, as ``CONTRACT`` of its module ``own_prior``. Its representation is
documented in the module of its ``read``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciddm.errors import OptionError
from sciddm.pipelines.domains import DOMAINS
from sciddm.pipelines.engine.quality import Quality
from sciddm.pipelines.own_prior.prepared import Prepared, Read
from sciddm.pipelines.own_prior.sources import Kind, Source, sources_of
from sciddm.zoo.pretrained import Model

__all__ = ["IMAGES", "Checks", "Contract", "contract_of"]

#: The name of the plain folder of images, which is no domain.
IMAGES = "images"


@dataclass(frozen=True)
class Checks:
    """What the checks of a trained model are given.

    Attributes:
        model: its folder.
        prepared: the data.
        start: the model it was fine-tuned from; None for none.
        cache: folder for results that a second run takes over.
        seconds: about how long the checks may take.
        qualities: levels that are calibrated, where a domain has factors for them.
        progress: called with a line about each result.
    """

    model: Path
    prepared: Prepared
    start: str | None
    cache: Path
    seconds: float
    qualities: tuple[Quality, ...] = ("fast", "balanced")
    progress: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Contract:
    """How a domain's folder becomes a model.

    Attributes:
        kind: which files.
        recipe: bundled recipe whose process, network, noise law and optimisation are used.
        dataset: import path of the data set; it takes ``prepared`` and ``length``.
        read: what a source holds.
        sizes: keys of the network in place of the recipe's, the largest first; from nothing the
            largest is taken that the time allows to train.
        crop: largest side of a crop in pixels; None where the data set has none.
        stride: crops are multiples of it.
        batches: sizes of a batch, the largest first.
        sources: finds the folder's sources in place of ``sources_of``.
        keeps: the data set takes ``keep``, a second folder.
        check: parts of the card: calibration, coverage, metrics, shift, limits.
        arguments: further arguments of the data set, from the prepared data.
        accepts: why a model cannot be the start, "" where it can.
        fits: raises InputError where the images do not fit together.
        values: keys of the recipe in place of the bundled one's, from the prepared data.
    """

    kind: Kind
    recipe: str
    dataset: str
    read: Read
    check: Callable[[Checks], Mapping[str, Any]]
    sizes: tuple[Mapping[str, Any], ...] = ({},)
    crop: int | None = 96
    stride: int = 8
    batches: tuple[int, ...] = (16, 8, 4)
    sources: Callable[[Path, Kind], list[Source]] = sources_of
    keeps: bool = False
    arguments: Callable[[Prepared], Mapping[str, Any]] = lambda prepared: {}
    accepts: Callable[[Model], str] = lambda model: ""
    fits: Callable[[Prepared], None] = lambda prepared: None
    values: Callable[[Prepared], Mapping[str, Any]] = lambda prepared: {}


def contract_of(domain: str) -> Contract:
    """The contract of a domain, or of ``images``.

    Raises:
        OptionError: no such domain.
    """
    if domain == IMAGES:
        module = "sciddm.pipelines.own_prior.images"
    elif domain in DOMAINS:
        module = f"sciddm.pipelines.{domain}.own_prior"
    else:
        names = ", ".join([*DOMAINS, IMAGES])
        raise OptionError("domain", f"take one of {names}, not {domain}")
    contract: Contract = importlib.import_module(module).CONTRACT
    return contract
