"""PET and CT to a tumour mask with its uncertainty."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import sciddm
from sciddm import zoo
from sciddm.data_adapters.petct.images import open_ct_of, open_pet
from sciddm.denoiser import NetworkDenoiser
from sciddm.device import placed, to_numpy
from sciddm.errors import InputError, ModelError
from sciddm.geometry.grid import DIMS, common_grid, cropped, grid_of, resample
from sciddm.method_choice import MethodChoice
from sciddm.physics.petct.lesion_ranges import with_ranges
from sciddm.physics.petct.lesions import Lesion, lesion_variables, measure_lesions, with_body
from sciddm.pipelines.engine.pipeline import Pipeline, provenance_of
from sciddm.pipelines.petct.draws import DiffusionDraws, OneEvaluation, Source, windows_of
from sciddm.pipelines.petct.region import Region, check_field, region_about, region_of
from sciddm.pipelines.petct.representation import AIR_HU, Representation
from sciddm.pipelines.petct.searched import remarks_on_lesions, searched_voxels
from sciddm.pipelines.petct.settings import Settings, chosen
from sciddm.priors.segmenter import Segmenter
from sciddm.progress import Progress
from sciddm.uncertainty.verdict import Finding, Verdict

__all__ = ["NOT_SEARCHED", "TumourSegmentation", "check_pair", "entropy", "lesions_of", "tempered"]

#: In `flags`: a voxel outside of the region that was searched.
NOT_SEARCHED = 1
_FEWEST_SLICES = 4
_OF_PET = (
    "suv_rule", "uptake_min", "weight_kg", "dose_mbq", "suv_factor", "height_m", "lean_mass_kg",
    "body_surface_m2",
)  # fmt: skip
_SURE = 1e-4  # probabilities are kept that far from 0 and 1: few samples say no more
_LOW_AGREEMENT = 0.7


class TumourSegmentation(Pipeline):
    """P(tumour) of every voxel from K masks drawn by a diffusion, given PET and CT.

    Both are carried to the grid the model works on, the one upright over what they share; the
    mean of the draws there is divided by the model's temperature as a logit and carried to the
    grid of CT, where it is cut at the threshold.

    Args:
        model: a diffusion of masks, or a segmenter (one evaluation, no samples).
        representation: what it sees.
        provenance: name and hash of the model.
    """

    standard = "petct-sarcoma"

    def __init__(
        self,
        model: NetworkDenoiser | Segmenter,
        representation: Representation | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.representation = representation or Representation()
        self.provenance = provenance or provenance_of()

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None) -> Self:
        """See `Pipeline.from_pretrained`; the bundled model if no source is given."""
        loaded = zoo.from_pretrained(source or cls.standard)
        if not isinstance(loaded.model, NetworkDenoiser | Segmenter):
            kind = type(loaded.model).__name__
            raise ModelError(f"model {loaded.name!r} is a {kind}, which segments nothing")
        seen = Representation.from_config(loaded.representation, loaded.name)
        return cls(loaded.model, seen, provenance_of(loaded))

    def save(self, path: str | Path) -> None:
        card = {"name": self.provenance["model"]}
        zoo.save_model(self.model, path, card=card, representation=self.representation.config)

    def __call__(
        self,
        pet: xr.DataArray | str | Path,
        ct: xr.DataArray | str | Path,
        /,
        *,
        quality: str = "balanced",
        samples: int | None = None,
        threshold: float = 0.5,
        seed: int = 0,
        roi: xr.DataArray | str | Path | Region | None = None,
        point: Sequence[float] | None = None,
        anywhere: bool = False,
        sampler: str | None = None,
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Mask, probability and uncertainty on the grid of CT.

        Args:
            pet: (z, y, x) in SUV, or a DICOM folder or NIfTI file.
            ct: (z, y, x) in HU, likewise.
            quality: "fast", "balanced" or "best"; see `settings`.
            samples: masks that are drawn, in place of the quality's number.
            threshold: probability from which a voxel is tumour.
            seed: of all noise.
            roi: where to search: a box "x0,x1,y0,y1,z0,z1" in mm (RAS), or a mask; see `region`.
            point: of the tumour, x, y, z in mm (RAS): a crop about it is searched at quality fast,
                and then that about the lesion which lies there.
            anywhere: search a field of view that is larger than the model knows, too.
            sampler: solver of the reverse diffusion in place of DDIM; a name of `sciddm.methods`.
            steps: noise levels after the first, in place of the quality's number.
            progress: called after every window that is evaluated.

        Returns:
            mask (0 or 1); probability; entropy, of the probability, in bits; std, of the samples'
            probabilities, 0 for one sample; agreement, the share of samples that decide as the
            mask does; suv and hu, the images it is made from; label, the number of the lesion that
            a voxel belongs to; flags, 1 where nothing was searched; all (z, y, x) on the grid of
            CT; lesion_suv_max, lesion_mtv_ml and so on, one value a lesion; and attributes, see
            `Pipeline`, among them sample_dice, the mean Dice of two samples' masks, and region_mm,
            the lowest and the highest R, A, S that were searched, where a region was named.

        Raises:
            InputError: unusable data or options, images that are not of one study, or a field of
                view beyond what the model knows.
        """
        start = time.perf_counter()
        if not 0 < threshold < 1:
            raise InputError(f"a threshold is between 0 and 1, not {threshold:g}")
        choice = MethodChoice(sampler, None, steps)
        choice.check()
        settings = chosen(quality, samples, choice)
        pet = open_pet(pet) if isinstance(pet, str | Path) else pet.transpose(*DIMS)
        ct = open_ct_of(ct) if isinstance(ct, str | Path) else ct.transpose(*DIMS)
        warnings = check_pair(pet, ct)
        source = self._source(settings, choice)
        seen = self.representation
        ct_grid = grid_of(ct)
        grid = common_grid(grid_of(pet), ct_grid, seen.spacing_mm)
        region = region_of(roi, point, seen.crop_mm)
        if region is not None and point is not None:
            first = self(pet, ct, quality="fast", seed=seed, roi=region, anywhere=anywhere)
            grown = region_about(first["label"].values, ct_grid, point)
            if grown is not None:
                part = cropped(grid, grown.low, grown.high)
                region = region if check_field(part, seen.field_mm) else grown
        if region is not None:
            grid = cropped(grid, region.low, region.high)
        beyond = check_field(grid, seen.field_mm, named=region is not None)
        if beyond and not anywhere:
            where = "a smaller one" if region is not None else "where to search (--roi, --point)"
            raise InputError(
                f"{pet.attrs.get('source', 'PET')}: {beyond}: name {where}, or accept that "
                "(--anywhere)"
            )
        suv = resample(pet.values, grid_of(pet), grid, method="spline")
        hu = resample(ct.values, ct_grid, grid, outside=AIR_HU)
        cond = _padded(seen.channels(suv, hu), seen)
        windows = windows_of(tuple(cond.shape[1:]), seen.window, settings.overlap)
        total, done = windows * source.evaluations, 0

        def tick(windows: int) -> None:
            nonlocal done
            done += windows
            if progress is not None:
                progress(done, total, f"window {done} of {total}")

        inside = tuple(slice(n) for n in grid.shape)
        drawn = [to_numpy(p[inside]) for p in source(cond, seed, tick)]
        maps = _statistics(drawn, threshold, seen.temperature)
        dice = _sample_dice([d >= 0.5 for d in drawn])
        found = {
            name: resample(values, grid, ct_grid, outside=outside)
            for (name, values), outside in zip(maps.items(), (0.0, 0.0, 1.0), strict=True)
        }
        probability = np.clip(found["probability"], 0, 1)
        flags = np.zeros(ct_grid.shape, np.uint8)
        if region is not None:
            outside = ~region.contains(ct_grid)
            probability[outside] = found["std"][outside] = 0
            found["agreement"][outside] = 1
            flags[outside] = NOT_SEARCHED
        mask = (probability >= threshold).astype(np.uint8)
        if beyond:
            warnings.append(f"{beyond[0].upper()}{beyond[1:]}.")
        if not mask.any():
            warnings.append("no tumour was found")
        elif len(drawn) > 1 and dice < _LOW_AGREEMENT:
            warnings.append(
                f"the samples disagree about the tumour (mean Dice {dice:.2f}): see the uncertainty"
            )
        attrs = {
            "affine": ct_grid.affine.tolist(),
            "voxel_size_mm": ct_grid.spacing_mm,
            "orientation_known": bool(ct.attrs.get("orientation_known", True)),
            **self.provenance,
            **source.attributes,
            "quality": quality,
            "threshold": threshold,
            "temperature": seen.temperature,
            "seed": seed,
            "nfe": source.evaluations,
            "nvjp": 0,
            "windows": windows,
            "model_grid": list(grid.shape),
            "model_spacing_mm": list(seen.spacing_mm),
            "sample_dice": round(dice, 4),
            "seconds": round(time.perf_counter() - start, 3),
            "sciddm_version": sciddm.__version__,
        }
        for key in _OF_PET:
            if key in pet.attrs:
                attrs[key] = pet.attrs[key]
        if region is not None:
            attrs["region_mm"] = [[round(float(v), 1) for v in e] for e in grid.box()]
        if "nifti_codes" in ct.attrs:
            attrs["nifti_codes"] = ct.attrs["nifti_codes"]
        attrs |= self._verdict(beyond, region).attributes()
        result = xr.Dataset(
            {
                "mask": (DIMS, mask),
                "probability": (DIMS, probability),
                "entropy": (DIMS, entropy(probability)),
                "std": (DIMS, found["std"]),
                "agreement": (DIMS, np.clip(found["agreement"], 0, 1)),
                "flags": (DIMS, flags),
                "suv": (DIMS, resample(pet.values, grid_of(pet), ct_grid).astype(np.float32)),
                "hu": (DIMS, np.asarray(ct.values, np.float32)),
            },
            attrs=attrs,
        )
        lesions, labels = lesions_of(result, pet)
        searched = searched_voxels(ct_grid, grid, region)
        warnings += remarks_on_lesions(labels, searched, ct_grid, point)
        result = result.assign({"label": (DIMS, labels), **lesion_variables(lesions)})
        return result.assign_attrs(warnings=json.dumps(warnings))

    def _verdict(self, beyond: str, region: Region | None) -> Verdict:
        """Whether the field of view is one that the model knows.

        Its size alone does not make a study familiar: that of a head or a pelvis may be as small,
        and uptake in training studies spans that of organs.
        """
        if self.representation.field_mm is None:
            return Verdict()
        if beyond:
            return Verdict(familiar=Finding("no", sentence=f"{beyond[0].upper()}{beyond[1:]}."))
        what = "field of view" if region is None else "region that was searched"
        said = (
            f"The {what} is no larger than the crops the model was trained on. Whether it holds "
            "organs that take up tracer was not checked: they are marked too."
        )
        return Verdict(familiar=Finding("not checked", sentence=said))

    def _source(self, settings: Settings, choice: MethodChoice) -> Source:
        placed(self.model)
        if isinstance(self.model, Segmenter):
            choice.refuse("this model answers in one evaluation")
            return OneEvaluation(self.model, self.representation, settings)
        return DiffusionDraws(self.model, self.representation, settings, choice)


def check_pair(pet: xr.DataArray, ct: xr.DataArray) -> list[str]:
    """Whether PET and CT can be of one study; returns what is to be warned of.

    Raises:
        InputError: of different patients, swapped, or of too few slices.
    """
    for volume, name, units in ((pet, "PET", "SUV"), (ct, "CT", "HU")):
        if volume.attrs.get("units", units) != units:
            raise InputError(
                f"{name} is in {volume.attrs['units']}, not {units}: are PET and CT swapped?"
            )
        if volume.sizes["z"] < _FEWEST_SLICES:
            source = volume.attrs.get("source", name)
            raise InputError(
                f"{source}: {volume.sizes['z']} slice(s) of {name}, and {_FEWEST_SLICES} at least "
                "are needed: give the whole series"
            )
    one, other = pet.attrs.get("patient"), ct.attrs.get("patient")
    if one and other and one != other:
        raise InputError("PET and CT are of different patients (PatientID): give one study")
    warnings = [str(w) for v in (pet, ct) for w in v.attrs.get("warnings", [])]
    one, other = pet.attrs.get("frame_of_reference"), ct.attrs.get("frame_of_reference")
    if one and other and one != other:
        warnings.append(
            "PET and CT have different frames of reference: whether they are aligned is unknown"
        )
    return warnings


def lesions_of(result: xr.Dataset, pet: xr.DataArray) -> tuple[list[Lesion], NDArray[np.int32]]:
    """The lesions of a result and their numbers in its voxels; see `measure_lesions`."""
    mask = result["mask"].assign_attrs(affine=result.attrs["affine"])
    values = np.asarray(pet.transpose(*DIMS).values)
    lesions, labels = measure_lesions(mask.values > 0, grid_of(mask), values, grid_of(pet))
    probability = result["probability"].values
    ranged = with_ranges(lesions, labels, probability, grid_of(mask), values, grid_of(pet))
    known = (pet.attrs.get(k) for k in ("weight_kg", "lean_mass_kg", "body_surface_m2"))
    return with_body(ranged, *known), labels


def tempered(probability: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """sigmoid(logit(p) / T), p kept 1e-4 from 0 and 1."""
    p = np.clip(np.asarray(probability, np.float64), _SURE, 1 - _SURE)
    return 1 / (1 + np.exp(-np.log(p / (1 - p)) / temperature))


def entropy(probability: NDArray[Any]) -> NDArray[np.float32]:
    """-p log2 p - (1 - p) log2 (1 - p): 0 for what is sure, 1 bit for p = 1/2."""
    p = np.clip(np.asarray(probability, np.float64), 1e-12, 1 - 1e-12)
    return (-p * np.log2(p) - (1 - p) * np.log2(1 - p)).astype(np.float32)


def _statistics(
    drawn: Sequence[NDArray[Any]], threshold: float, temperature: float
) -> dict[str, NDArray[Any]]:
    """probability, std and agreement on the model's grid."""
    mean = tempered(np.mean(drawn, axis=0), temperature)
    decided = mean >= threshold
    each = [tempered(d, temperature) >= threshold for d in drawn]
    agreement = np.mean([e == decided for e in each], axis=0)
    std = np.std(drawn, axis=0, ddof=1) if len(drawn) > 1 else np.zeros_like(drawn[0])
    return {"probability": mean, "std": std, "agreement": agreement}


def _sample_dice(masks: Sequence[NDArray[np.bool_]]) -> float:
    """Mean Dice over all pairs; 1 for two empty masks, and for one sample."""
    found = []
    for i, a in enumerate(masks):
        for b in masks[:i]:
            total = int(a.sum()) + int(b.sum())
            found.append(1.0 if total == 0 else 2 * int((a & b).sum()) / total)
    return float(np.mean(found)) if found else 1.0


def _padded(cond: torch.Tensor, seen: Representation) -> torch.Tensor:
    """Air without activity up to the size of the window: what the network was trained with."""
    widths = [
        w
        for n, side in zip(cond.shape[:0:-1], seen.window[::-1], strict=True)
        for w in (0, max(0, side - n))
    ]
    if not any(widths):
        return cond
    air = seen.channels(np.zeros((1, 1, 1)), np.full((1, 1, 1), AIR_HU)).flatten()
    padded = [
        torch.nn.functional.pad(c, widths, value=float(v)) for c, v in zip(cond, air, strict=True)
    ]
    return torch.stack(padded)
