"""Denoising of low-dose CT volumes, slice by slice in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
import xarray as xr

from sciddm.data_adapters.ct import open_ct
from sciddm.device import placed, to_numpy
from sciddm.errors import InputError, ModelError
from sciddm.geometry.slice_stack import DIMS, PADDING, SliceStack
from sciddm.method_choice import OWN, MethodChoice
from sciddm.pipelines.ct.methods.base import SliceMethod, Tick
from sciddm.pipelines.ct.methods.filter2noise import SelfTrainedFilter
from sciddm.pipelines.ct.methods.noise2score import Noise2Score
from sciddm.pipelines.ct.methods.residual import MeasuredSlice, ResidualDiffusion, most_noise
from sciddm.pipelines.ct.settings import FILTER, RESIDUAL, SCORE, NoiseLaw, Quality, chosen
from sciddm.pipelines.ct.slice_pipeline import Floats, SlicePipeline, SliceRun
from sciddm.pipelines.engine.summary import distinct, warnings_of
from sciddm.progress import Progress
from sciddm.uncertainty.consistency import consistency_attributes
from sciddm.uncertainty.verdict import Finding, Verdict

__all__ = ["CTDenoising", "Denoised", "Denoising", "DenoisingMethod"]

DenoisingMethod = Literal["residual", "filter2noise", "noise2score"]


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


class CTDenoising(SlicePipeline):
    """Low-dose images to what a scan of full dose would show, with their uncertainty.

    ===============  ==================================================  ==========  ==============
    method           what it is                                          needs       uncertainty
    ===============  ==================================================  ==========  ==============
    residual         a diffusion that ends at the low-dose image         a model     std of draws
    filter2noise     bilateral filter trained on the volume itself       nothing     none; its maps
    noise2score      Tweedie's formula with a score learned from the     nothing     none
                     noisy volume itself
    ===============  ==================================================  ==========  ==============

    The model's process ends at the low-dose image. For its arguments see `SlicePipeline`.
    """

    standard = "ct-denoise"
    untrained: ClassVar[tuple[DenoisingMethod, ...]] = ("filter2noise", "noise2score")

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
        sampler: str | None = None,
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> Denoising:
        """A run that yields the slices one by one in constant memory.

        Args:
            volume: (z, y, x) in HU, or a DICOM folder or NIfTI file.
            method: see the class.
            quality: "fast", "balanced" or "best"; see `settings`.
            samples: draws of the posterior, in place of the quality's number ("residual" only).
            seed: of all noise. Slice i gets the same noise whatever else is there.
            strength: how far the result goes from the input (0) to the estimate (1).
            noise: its law for "noise2score": "gaussian"; "poisson" or "gamma" of values above air.
            sampler: a solver of `sciddm.methods` in place of DDIM ("residual" only).
            steps: network evaluations of each draw, in place of the quality's.
            progress: called after every step.

        Returns:
            The run. Collected, it has denoised, noisy and, for methods that have it, std, all
            (z, y, x) in HU; the maps of "filter2noise" as sigma_x, sigma_y (pixels) and sigma_r
            (HU), (stage, z, y, x); flags, 1 for padding, where there is any; and attributes, see
            `Pipeline`.

        Raises:
            InputError: unusable data or options.
        """
        if not 0 <= strength <= 1:
            raise InputError(f"a strength is from 0 (input) to 1 (estimate), not {strength}")
        data = open_ct(volume) if isinstance(volume, str | Path) else volume
        choice = MethodChoice(sampler, None, steps)
        choice.check()
        prepare = self._preparation(method, quality, samples, noise, choice)
        options = {"method": method, "quality": quality, "seed": seed, "strength": strength}
        stack = SliceStack(data)
        remarks = self._remarks(method, stack.spacing[2] if stack.spacing else None)
        options = {**self._own(method), **options}
        return Denoising(stack, prepare, options, progress, remarks, choice)

    def _preparation(
        self,
        method: str,
        quality: str,
        samples: int | None,
        noise: NoiseLaw,
        choice: MethodChoice = OWN,
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
            settings = chosen(RESIDUAL, quality, samples)
            if choice.steps is not None:
                settings = replace(settings, steps=choice.steps)
            drawing = ResidualDiffusion(placed(self.model), self.representation, settings, choice)
            return lambda stack, seed: drawing
        learning = chosen(SCORE, quality, samples)
        if noise not in get_args(NoiseLaw):
            known = ", ".join(get_args(NoiseLaw))
            raise InputError(f"unknown law of noise {noise!r}: take one of {known}")
        learning = replace(learning, noise=noise)
        return lambda stack, seed: Noise2Score(stack, learning, seed)


class Denoising(SliceRun[SliceMethod, Denoised]):
    """A run over one volume; see `SliceRun`.

    Attributes:
        stack: the volume.
    """

    images = ("denoised", "noisy", "std")

    def __init__(
        self,
        stack: SliceStack,
        prepare: Callable[[SliceStack, int], SliceMethod],
        options: dict[str, Any],
        progress: Progress | None,
        remarks: Sequence[str] = (),
        choice: MethodChoice = OWN,
    ) -> None:
        super().__init__(options, progress, remarks)
        self.stack = stack
        self._make, self._choice = prepare, choice
        self._padding: dict[int, np.ndarray[Any, np.dtype[np.bool_]]] = {}

    def __len__(self) -> int:
        return len(self.stack)

    def dataset(self, maps: bool = True) -> xr.Dataset:
        # The input is in memory already: it stands for the slices' `noisy`.
        variables = self.collect(("denoised", "std"), maps)
        variables["noisy"] = (DIMS, self.stack.volume.data)
        if self._padding:
            flags = np.zeros((len(self), *self.shape), np.uint8)
            for index, padding in self._padding.items():
                flags[index][padding] = PADDING
            variables["flags"] = (DIMS, flags)
        return xr.Dataset(variables, coords=self.coords, attrs=self.attrs)

    @property
    def shape(self) -> tuple[int, int]:
        return self.stack.shape

    @property
    def coords(self) -> Any:
        return self.stack.volume.coords.to_dataset().drop_vars("padding", errors="ignore").coords

    def _prepare(self) -> SliceMethod:
        return self._make(self.stack, self._options["seed"])

    def _slice(self, method: SliceMethod, index: int, tick: Tick) -> Denoised:
        noisy, padding = self.stack.stored(index), self.stack.padding(index)
        found = method(self.stack, index, self._options["seed"], tick)
        values, spread = found.values, found.std
        if padding is not None:
            self._padding[index] = to_numpy(padding)
            values = torch.where(padding, noisy, values)
            spread = None if spread is None else spread.masked_fill(padding, 0.0)
        denoised = noisy + self._options["strength"] * (values - noisy)
        std = None if spread is None else to_numpy(spread)
        maps = {name: to_numpy(values) for name, values in found.maps.items()}
        return Denoised(index, to_numpy(denoised), std, to_numpy(noisy), maps)

    def _facts(self) -> dict[str, Any]:
        known = self.stack.volume.attrs
        verdict = self._verdict()
        verdict = replace(verdict, calibrated=self._choice.calibrated(verdict.calibrated))
        remarks = distinct([*warnings_of(known), *self._remarks, *verdict.warnings])
        facts = {**known, **consistency_attributes([], remarks), **verdict.attributes()}
        measured = self._measured()
        if measured:
            facts["noise_hu"] = round(float(np.median([m.noise.sd for m in measured])), 2)
            facts["noise_left_hu"] = round(max(m.left for m in measured), 2)
        return facts

    def _measured(self) -> list[MeasuredSlice]:
        """The noise of every slice that was checked; see `coarse_fine`."""
        of_slices: dict[int, MeasuredSlice] = getattr(self._method, "measured", {})
        return list(of_slices.values())

    def _verdict(self) -> Verdict:
        """Is the input like what the model was calibrated on: its pixels, and its noise?"""
        measured = self._measured()
        if not measured:
            return Verdict()
        limit = most_noise(float(self.stack.spacing[2]) if self.stack.spacing else math.nan)
        worst = max(measured, key=lambda m: m.noise.unfiltered)
        level = f"{worst.noise.sd:.0f} HU in flat tissue"
        if worst.noise.unfiltered > limit:
            said = (
                f"The noise is stronger at low frequencies than that of the training: {level}, as "
                f"of {worst.noise.unfiltered:.0f} HU before any window, against {limit:.0f} HU."
            )
            return _unfamiliar(said, worst.noise.unfiltered, limit)
        if self._remarks:
            blended = any(m.share > 0 for m in measured)
            remark = self._remarks[0]
            if blended:
                return _unfamiliar(f"Noise has another texture at these pixels. {remark}")
            return Verdict(familiar=Finding("no", sentence=remark))
        said = f"The noise ({level}) is one that the model was trained on."
        return Verdict(familiar=Finding("yes", worst.noise.unfiltered, limit, said))


def _unfamiliar(sentence: str, figure: float | None = None, limit: float | None = None) -> Verdict:
    """Noise that the model does not know: its intervals are not calibrated for it."""
    wide = "Estimates of two scales are blended, and intervals are not calibrated for this noise."
    return Verdict(
        calibrated=Finding("no", figure, limit, wide),
        familiar=Finding("no", figure, limit, sentence),
    )
