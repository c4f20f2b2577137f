"""Denoising of low-dose CT volumes, slice by slice in constant memory."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import xarray as xr
from torch import Tensor

import sciddm
from sciddm import zoo
from sciddm.data_adapters.ct import open_ct
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError, ModelError
from sciddm.ledger import tally
from sciddm.pipelines.base import Pipeline, Progress
from sciddm.pipelines.ct.methods.base import Estimate, SliceMethod
from sciddm.pipelines.ct.methods.filter2noise import SelfTrainedFilter
from sciddm.pipelines.ct.methods.noise2score import Noise2Score
from sciddm.pipelines.ct.methods.residual import ResidualDiffusion
from sciddm.pipelines.ct.settings import FILTER, RESIDUAL, SCORE, NoiseLaw, Quality, chosen
from sciddm.pipelines.ct.slices import DIMS, SliceStack

__all__ = ["CTDenoising", "Denoised", "Denoising", "DenoisingMethod"]

DenoisingMethod = Literal["residual", "filter2noise", "noise2score"]
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Denoised:
    """One slice of a result.

    Attributes:
        index: 0 for the first slice of the volume.
        denoised: (y, x), HU.
        std: posterior standard deviation of the clean values (y, x), HU, whatever the strength;
            None for methods that have none.
        noisy: the slice as it was given (y, x), HU.
        maps: see `Estimate.maps`.
    """

    index: int
    denoised: Floats
    std: Floats | None
    noisy: Floats
    maps: dict[str, Floats]


class CTDenoising(Pipeline):
    """Low-dose images to what a scan of full dose would show, with their uncertainty.

    ===============  ==================================================  ==========  ==============
    method           what it is                                          needs       uncertainty
    ===============  ==================================================  ==========  ==============
    residual         a diffusion that ends at the low-dose image         a model     std of draws
    filter2noise     bilateral filter trained on the volume itself       nothing     none; its maps
    noise2score      Tweedie's formula with a score learned from the     nothing     none
                     noisy volume itself
    ===============  ==================================================  ==========  ==============

    Args:
        model: of the method "residual": its process ends at the low-dose image in HU.
        representation: what the model was trained to see; see `training_data`.
        provenance: name and hash of the model.
    """

    def __init__(
        self,
        model: NetworkDenoiser | None = None,
        representation: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.representation = representation or {}
        self.provenance = provenance or {"model": "unnamed", "weights_sha256": ""}

    #: Methods that need no trained model: `CTDenoising()` is enough for them.
    untrained: tuple[DenoisingMethod, ...] = ("filter2noise", "noise2score")

    @classmethod
    def from_pretrained(cls, source: str | Path = "ct-denoise") -> Self:
        loaded = zoo.from_pretrained(source)
        provenance = {"model": loaded.name, "weights_sha256": loaded.weights_sha256}
        return cls(loaded.denoiser, loaded.representation, provenance)

    def save(self, path: str | Path) -> None:
        if self.model is None:
            raise InputError(f"{path}: this pipeline has no model to save")
        card = {"name": self.provenance["model"]}
        zoo.save_model(self.model, path, card=card, representation=self.representation)

    def __call__(  # type: ignore[override]
        self,
        volume: xr.DataArray | xr.Dataset | str | Path,
        /,
        *,
        method: DenoisingMethod = "residual",
        quality: Quality = "balanced",
        samples: int | None = None,
        seed: int = 0,
        strength: float = 1.0,
        noise: NoiseLaw = "gaussian",
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Denoises a volume in memory; `open` does it slice by slice.

        Args:
            volume: (z, y, x) in HU, or a DICOM folder or NIfTI file.
            method: see the class.
            quality: "fast", "balanced" or "best"; see `settings`.
            samples: draws of the posterior, in place of the quality's number ("residual" only).
            seed: of all noise. Slice i gets the same noise whatever else is there.
            strength: how far the result goes from the input (0) to the estimate (1).
            noise: its law for "noise2score": "gaussian"; "poisson" or "gamma" of values above air.
            progress: called after every step.

        Returns:
            denoised, noisy and, for methods that have it, std, all (z, y, x) in HU; the maps of
            "filter2noise" as sigma_x, sigma_y (pixels) and sigma_r (HU), (stage, z, y, x); and
            attributes; see `Pipeline`.

        Raises:
            InputError: unusable data or options.
        """
        run = self.open(
            volume,
            method=method,
            quality=quality,
            samples=samples,
            seed=seed,
            strength=strength,
            noise=noise,
            progress=progress,
        )
        slices = list(run)
        variables: dict[str, Any] = {
            "denoised": (DIMS, np.stack([s.denoised for s in slices])),
            "noisy": (DIMS, np.stack([s.noisy for s in slices])),
        }
        stds = [s.std for s in slices if s.std is not None]
        if stds:
            variables["std"] = (DIMS, np.stack(stds))
        for name in slices[0].maps:
            maps = np.stack([s.maps[name] for s in slices], axis=-3)
            leading = ("stage",) * (maps.ndim - len(DIMS))
            variables[name] = ((*leading, *DIMS), maps)
        return xr.Dataset(variables, coords=run.stack.volume.coords, attrs=run.attrs)

    def open(
        self,
        volume: xr.DataArray | xr.Dataset | str | Path,
        /,
        *,
        method: DenoisingMethod = "residual",
        quality: Quality = "balanced",
        samples: int | None = None,
        seed: int = 0,
        strength: float = 1.0,
        noise: NoiseLaw = "gaussian",
        progress: Progress | None = None,
    ) -> Denoising:
        """A run that yields the slices one by one in constant memory; arguments as for a call."""
        if not 0 <= strength <= 1:
            raise InputError(f"a strength is from 0 (input) to 1 (estimate), not {strength}")
        data = open_ct(volume) if isinstance(volume, str | Path) else volume
        prepare = self._preparation(method, quality, samples, noise)
        options = {"method": method, "quality": quality, "seed": seed, "strength": strength}
        provenance = {} if method in self.untrained else self.provenance
        return Denoising(SliceStack(data), prepare, {**provenance, **options}, progress)

    def _preparation(
        self, method: str, quality: str, samples: int | None, noise: NoiseLaw
    ) -> Callable[[SliceStack, int], SliceMethod]:
        """How the method is made ready for a volume, given the run's seed."""
        if method not in get_args(DenoisingMethod):
            known = ", ".join(get_args(DenoisingMethod))
            raise InputError(f"unknown method {method!r}: take one of {known}")
        if method == "filter2noise":
            filtering = chosen(FILTER, quality, samples)
            return lambda stack, seed: SelfTrainedFilter(stack, filtering.iterations, seed)
        if method == "residual":
            if self.model is None:
                raise ModelError("residual denoising needs a model: CTDenoising.from_pretrained()")
            drawing = ResidualDiffusion(
                self.model, self.representation, chosen(RESIDUAL, quality, samples)
            )
            return lambda stack, seed: drawing
        learning = chosen(SCORE, quality, samples)
        if noise not in get_args(NoiseLaw):
            known = ", ".join(get_args(NoiseLaw))
            raise InputError(f"unknown law of noise {noise!r}: take one of {known}")
        learning = replace(learning, noise=noise)
        return lambda stack, seed: Noise2Score(stack, learning, seed)


class Denoising:
    """One run over one volume: iterate over it once, then read `attrs`.

    Attributes:
        stack: the volume.
    """

    def __init__(
        self,
        stack: SliceStack,
        prepare: Callable[[SliceStack, int], SliceMethod],
        options: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        self.stack = stack
        self._prepare = prepare
        self._options = options
        self._progress = progress
        self._method: SliceMethod | None = None
        self._done = 0
        self._seconds = 0.0
        self._shift: list[float] = []

    def __iter__(self) -> Iterator[Denoised]:
        """The slices, in order.

        Raises:
            InputError: a slice cannot be read, or holds NaN.
        """
        start = time.perf_counter()
        seed, strength = self._options["seed"], self._options["strength"]
        method = self._method = self._prepare(self.stack, seed)
        self._cost = []
        steps = 0
        for index in range(len(self.stack)):

            def tick(part: str, index: int = index) -> None:
                nonlocal steps
                steps += 1
                if self._progress is not None:
                    total = len(self.stack) * method.steps
                    self._progress(steps, total, f"slice {index + 1} of {len(self.stack)}{part}")

            noisy = self.stack.slice(index)
            with tally() as cost:
                found = method(self.stack, index, seed, tick)
            self._cost.append(cost)
            denoised = noisy + strength * (found.values - noisy)
            self._done += 1
            self._seconds = time.perf_counter() - start
            yield _plain(index, denoised, found, noisy)

    @property
    def attrs(self) -> dict[str, Any]:
        """All that repeats the run, what it cost and what is to be said about it."""
        if self._method is None or self._done != len(self.stack):
            raise RuntimeError("the run is not complete: iterate over it first")
        return {
            **self.stack.volume.attrs,
            "units": "HU",
            **self._options,
            **self._method.attributes,
            "nfe": max(c.nfe for c in self._cost),
            "nvjp": max(c.nvjp for c in self._cost),
            "seconds": round(self._seconds, 3),
            "sciddm_version": sciddm.__version__,
            "warnings": json.dumps([]),
        }


def _plain(index: int, denoised: Tensor, found: Estimate, noisy: Tensor) -> Denoised:
    std = None if found.std is None else found.std.numpy()
    maps = {name: values.numpy() for name, values in found.maps.items()}
    return Denoised(index, denoised.numpy(), std, noisy.numpy(), maps)
