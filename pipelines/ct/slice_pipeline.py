"""What the pipelines of CT share: a model, and runs that go slice by slice in constant memory."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
import xarray as xr

import sciddm
from sciddm import zoo
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.geometry.slice_stack import DIMS, SliceStack
from sciddm.ledger import tally
from sciddm.pipelines.ct.error_fields import error_field
from sciddm.pipelines.ct.methods.base import Method, Tick
from sciddm.pipelines.engine.intervals import FIELD
from sciddm.pipelines.engine.pipeline import Pipeline, provenance_of
from sciddm.pipelines.engine.regions import Grid
from sciddm.progress import Progress

__all__ = ["Floats", "SlicePipeline", "SliceResult", "SliceRun", "image_grid"]

Floats = np.ndarray[Any, np.dtype[np.float32]]
_PIXEL_SLACK = 1.3


def image_grid(volume: xr.DataArray | xr.Dataset, request: object = None) -> Grid:
    """Of the denoised volume, whatever the request."""
    stack = SliceStack(volume)
    return Grid((len(stack), *stack.shape), stack.volume.attrs)


class SliceResult(Protocol):
    """What a run yields for a slice: images (y, x) by name, and maps (..., y, x)."""

    @property
    def index(self) -> int: ...

    @property
    def maps(self) -> dict[str, Floats]: ...


R = TypeVar("R", bound=SliceResult)
M = TypeVar("M", bound=Method)


class SlicePipeline(Pipeline):
    """A pipeline whose methods do one slice after the other; `open` has its options.

    Args:
        model: of the methods that need one, of images in HU.
        representation: what the model was trained to see; see `training_data`.
        provenance: name and hash of the model.
    """

    #: The bundled model.
    standard: ClassVar[str]
    #: Methods that need no trained model: a pipeline without arguments is enough for them.
    untrained: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        model: NetworkDenoiser | None = None,
        representation: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.representation = representation or {}
        self.provenance = provenance or provenance_of()

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None) -> Self:
        """See `Pipeline.from_pretrained`; the bundled model if no source is given."""
        loaded = zoo.from_pretrained(source or cls.standard)
        return cls(loaded.denoiser, loaded.representation, provenance_of(loaded))

    @classmethod
    def for_method(cls, method: str, model: str | Path) -> Self:
        """The pipeline of a method, with this model if the method needs one."""
        return cls() if method in cls.untrained else cls.from_pretrained(model)

    def save(self, path: str | Path) -> None:
        if self.model is None:
            raise InputError(f"{path}: this pipeline has no model to save")
        card = {"name": self.provenance["model"]}
        zoo.save_model(self.model, path, card=card, representation=self.representation)

    @abstractmethod
    def open(self, data: Any, /, *args: Any, **options: Any) -> SliceRun[Any, Any]:
        """A run that yields the slices one by one."""

    def __call__(self, data: Any, /, **options: Any) -> xr.Dataset:
        """All slices in memory; data and options are those of `open`.

        Returns:
            The images that the run yields, (z, y, x) in HU, and attributes; see `Pipeline`.
        """
        return self.open(data, **options).dataset()

    def _own(self, method: str) -> dict[str, Any]:
        """Name and hash of the model, for methods that use it."""
        return {} if method in self.untrained else self.provenance

    def _remarks(self, method: str, pixel_mm: float | None) -> list[str]:
        """Warnings where the images are unlike those that the model was trained on."""
        known = self.representation.get("pixel_mm")
        if method in self.untrained or not known or not pixel_mm or pixel_mm <= 0:
            return []
        if known[0] / _PIXEL_SLACK <= pixel_mm <= known[1] * _PIXEL_SLACK:
            return []
        return [
            f"Pixels of {pixel_mm:.2g} mm are unlike those that the model was trained on "
            f"({known[0]:.2g} to {known[1]:.2g} mm): expect blur or false detail."
        ]


class SliceRun(ABC, Generic[M, R]):
    """One run over one volume or scan: iterate over it once, then read `attrs`.

    Args:
        options: of the user, for the attributes; among them the seed.
        progress: called after every step.
        remarks: what the result is to warn of.
    """

    #: Names of the images (y, x) in what is yielded; one that is None has none.
    images: ClassVar[tuple[str, ...]]
    #: How many times the views there are the image needs; 1 where there are no views.
    missing_views: float = 1.0

    def __init__(
        self, options: dict[str, Any], progress: Progress | None, remarks: Sequence[str] = ()
    ) -> None:
        self._options = options
        self._remarks = remarks
        self._progress = progress
        self._method: M | None = None
        self._done = self._nfe = self._nvjp = 0
        self._seconds = 0.0

    @abstractmethod
    def __len__(self) -> int:
        """Number of slices."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the result."""

    @property
    @abstractmethod
    def coords(self) -> Any:
        """Coordinates of the result."""

    @abstractmethod
    def _prepare(self) -> M:
        """The method, made ready; called once."""

    @abstractmethod
    def _slice(self, method: M, index: int, tick: Tick) -> R:
        """One slice."""

    @abstractmethod
    def _facts(self) -> dict[str, Any]:
        """Attributes of the result that a run of this kind adds: place, warnings."""

    def __iter__(self) -> Iterator[R]:
        """The slices, in order.

        Raises:
            InputError: a slice cannot be read, or holds NaN.
        """
        start = time.perf_counter()
        method = self._method = self._prepare()
        self._done = steps = 0
        for index in range(len(self)):

            def tick(part: str, index: int = index) -> None:
                nonlocal steps
                steps += 1
                if self._progress is not None:
                    total = len(self) * method.steps
                    self._progress(steps, total, f"slice {index + 1} of {len(self)}{part}")

            with tally() as cost:
                found = self._slice(method, index, tick)
            self._nfe, self._nvjp = max(self._nfe, cost.nfe), max(self._nvjp, cost.nvjp)
            self._done += 1
            self._seconds = time.perf_counter() - start
            yield found

    def collect(self, names: Sequence[str], maps: bool = True) -> dict[str, Any]:
        """Variables of a data set: the images of all slices, and their maps if wanted."""
        volumes: dict[str, Floats] = {}
        kept: dict[str, list[Floats]] = {}
        for part in self:
            for name in names:
                values = getattr(part, name)
                if values is not None:
                    volume = volumes.setdefault(name, np.empty((len(self), *self.shape), "f4"))
                    volume[part.index] = values
            for name, values in part.maps.items() if maps else ():
                kept.setdefault(name, []).append(values)
        variables: dict[str, Any] = {name: (DIMS, volume) for name, volume in volumes.items()}
        for name, found in kept.items():
            stacked = np.stack(found, axis=-3)
            variables[name] = (("stage",) * (stacked.ndim - len(DIMS)) + DIMS, stacked)
        return variables

    def dataset(self, maps: bool = True) -> xr.Dataset:
        """All slices in memory: the images of the run, and its maps if wanted."""
        variables = self.collect(self.images, maps)
        return xr.Dataset(variables, coords=self.coords, attrs=self.attrs)

    @property
    def attrs(self) -> dict[str, Any]:
        """All that repeats the run, what it cost and what is to be said about it."""
        if self._method is None or self._done != len(self):
            raise RuntimeError("the run is not complete: iterate over it first")
        return {
            "units": "HU",
            **self._facts(),
            **self._options,
            **self._method.attributes,
            "nfe": self._nfe,
            "nvjp": self._nvjp,
            "seconds": round(self._seconds, 3),
            "sciddm_version": sciddm.__version__,
            **self._errors(),
        }

    def _errors(self) -> dict[str, str]:
        """How errors of pixels are alike, where the method has a standard deviation."""
        o = self._options
        field = error_field(
            o["method"], model=o.get("model", "unnamed"), missing_views=self.missing_views
        )
        strength = o.get("strength", 1.0)
        # Blended with the input an estimate has the input's noise, too, which the field knows not.
        return {} if field is None or strength != 1 else {FIELD: field.attribute()}
