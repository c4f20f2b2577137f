"""What every pipeline offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sciddm.progress import Progress

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.zoo import Model

__all__ = ["Pipeline", "Progress", "provenance_of"]


class Pipeline(ABC):
    """Measured data to an estimate with its uncertainty.

    A result is an `xarray.Dataset` with the estimate, its standard deviation, what the data give
    without the prior, and attributes that repeat the run: model, weights_sha256, sampler, steps,
    nfe, nvjp, seed, sciddm_version, the data-consistency residual in units of the noise, and
    `warnings`, a list of sentences (empty if there is nothing to warn of).
    """

    @classmethod
    @abstractmethod
    def from_pretrained(cls, source: str | Path) -> Self:
        """A pipeline with a trained model.

        Args:
            source: name of a bundled model, a model folder, or hub:owner/name.

        Raises:
            ModelError: there is no such model, or it is damaged or made for something else.
        """

    #: The estimate for one data set: called with the measurement in its domain's form, or a file
    #: that holds it (PET/CT: two), and the domain's options, in all domains among them ``quality``
    #: (fast, balanced or best), ``samples``, ``seed`` and ``progress``. Raises InputError for data
    #: that cannot be used; the message says why and what to do.
    __call__: Callable[..., xr.Dataset]

    @abstractmethod
    def save(self, path: str | Path) -> None:
        """Writes the model folder from which `from_pretrained` makes the same pipeline."""


def provenance_of(model: Model | None = None) -> dict[str, Any]:
    """Attributes that say which model made a result; None is one that was not read from a file."""
    if model is None:
        return {"model": "unnamed", "weights_sha256": ""}
    return {"model": model.name, "weights_sha256": model.weights_sha256}
