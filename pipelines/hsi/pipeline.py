"""Denoising of hyperspectral scenes of any size, without being told of their noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

import sciddm
from sciddm import zoo
from sciddm.data_adapters.checks import check_size
from sciddm.data_adapters.hsi import open_cube
from sciddm.data_adapters.hsi.cube import DIMS
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.method_choice import MethodChoice
from sciddm.physics.spectral.flags import counts
from sciddm.pipelines.engine.intervals import BETWEEN, FIELD
from sciddm.pipelines.engine.pipeline import Pipeline
from sciddm.pipelines.hsi.assemble import Canvas, MakeCanvas, finished, finished_flags, in_memory
from sciddm.pipelines.hsi.denoise import Denoised, denoise_scene
from sciddm.pipelines.hsi.describe import band_names
from sciddm.pipelines.hsi.error_fields import error_field
from sciddm.pipelines.hsi.judgement import CONTRADICTION, prediction, verdict_of
from sciddm.pipelines.hsi.methods import METHODS, Method, build_method
from sciddm.pipelines.hsi.survey import Scene, Survey, survey
from sciddm.priors.autoencoder import LatentDiffusion
from sciddm.progress import Progress

__all__ = ["HyperspectralDenoising", "attributes"]

#: Share of dead entries from which a scene is more guessed than measured.
_MANY_DEAD = 0.25
#: Share of entries that kept their measured values from which that is said.
_MANY_LOST = 0.01
_NAMED = 6  # bands that a warning lists before it only counts them


class HyperspectralDenoising(Pipeline):
    """Noisy cubes to clean ones, with the uncertainty of every entry where the method has one.

    Noise, stripes and dead pixels are estimated from the scene (`survey`), which is then denoised
    tile by tile (`denoise`). Bands and pixels that hold nothing stay as they are.

    Args:
        method: a name in `methods.METHODS`, or a `Method`.
        model: name, folder or hub id of its model; the method's own if None.
    """

    def __init__(self, method: str | Method = "subspace", model: str | Path | None = None) -> None:
        self.method = method
        self.model = model

    @classmethod
    def from_pretrained(cls, source: str | Path = "hsi-subspace") -> Self:
        """See `Pipeline.from_pretrained`; the model says which method it is for.

        One that does not say is taken as a prior of single coefficient images (`subspace`).
        """
        found = zoo.from_pretrained(source)
        method = found.representation.get("method", "subspace")
        real = isinstance(found.model, LatentDiffusion) or (
            isinstance(found.model, NetworkDenoiser) and not found.model.complex_data
        )
        if method not in METHODS or not real:
            raise ModelError(
                f"{source}: is no model for hyperspectral cubes: give one, such as hsi-subspace"
            )
        return cls(method, source)

    def save(self, path: str | Path) -> None:
        """See `Pipeline.save`."""
        if self.model is None:
            raise ModelError(f"the method {self.method} was given no model that could be saved")
        found = zoo.from_pretrained(self.model)
        zoo.save_model(
            found.model, path, card={"name": found.name}, representation=found.representation
        )

    def __call__(
        self,
        data: xr.Dataset | str | Path,
        /,
        *,
        quality: str = "balanced",
        samples: int | None = None,
        seed: int = 0,
        noise_std: ArrayLike | None = None,
        fill: bool = False,
        tile: int | None = None,
        scheduler: str | None = None,
        sampler: str | None = None,
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Denoises a scene that fits into memory; `sciddm hsi denoise` does any.

        Args:
            data: in the form of `data_adapters.hsi.cube`, or a file that holds it.
            quality: "fast", "balanced" or "best"; what it means is up to the method.
            samples: of the posterior, for the standard deviation; the quality decides if None.
            seed: of all noise. The same place of a scene gets the same noise in any tile.
            noise_std: standard deviation of the noise in the cube's unit, one number or one per
                band; estimated if None.
            fill: entries without a value (nodata, NaN, masked) get an estimate; they stay without
                one otherwise. The flags tell them apart.
            tile: side of a tile in pixels; by the number of bands if None.
            scheduler: address of a dask scheduler whose workers do the tiles.
            sampler: a solver of `sciddm.methods` for the samples ("subspace").
            steps: noise levels of a chain after the first, in place of the quality's.
            progress: called after every step.

        Returns:
            The data set with its `cube` denoised, in the same type; `noisy`, as it was; `flags`
            (uint8, see `physics.spectral.flags`); `std`, float32, where the method has one; and
            attributes, see `attributes`.

        Raises:
            InputError: unusable data or options.
        """
        scene = Scene(open_cube(data) if isinstance(data, str | Path) else data)
        check_size(Path(scene.name), "the cube", scene.cube.shape, 16)
        result = self.scene(
            scene,
            lambda _, shape, kind: in_memory(shape, kind),
            quality=quality,
            samples=samples,
            seed=seed,
            noise_std=noise_std,
            fill=fill,
            tile=tile,
            scheduler=scheduler,
            sampler=sampler,
            steps=steps,
            progress=progress,
        )
        return result.assign(noisy=scene.cube).compute(scheduler="threads")

    def scene(
        self,
        scene: Scene,
        canvas: MakeCanvas,
        *,
        quality: str = "balanced",
        samples: int | None = None,
        seed: int = 0,
        noise_std: ArrayLike | None = None,
        fill: bool = False,
        tile: int | None = None,
        scheduler: str | None = None,
        sampler: str | None = None,
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """The work itself, in constant memory if the canvases are.

        Args:
            scene: what to denoise.
            canvas: makes an empty one, told its name ("values", "std" or "flags"), its shape and
                its kind of number.
            quality, samples, seed, noise_std, fill, tile, scheduler, sampler, steps, progress: as
                for a call.

        Returns:
            As a call, without `noisy`; `cube`, `std` and `flags` are lazy and read the canvases.
        """
        method = self.method
        choice = MethodChoice(sampler, None, steps)
        if isinstance(method, str):
            method = build_method(method, self.model, quality, samples, choice)
        known = survey(scene, noise_std, progress, lambda shape: canvas("flags", shape, "|u1"))
        shape = (int(known.used.sum()), scene.lines, scene.samples)
        canvases: dict[str, Canvas] = {}

        def make(name: str) -> Canvas:
            canvases[name] = canvas(name, shape, "<f4")
            return canvases[name]

        made = denoise_scene(
            scene,
            known,
            method,
            make,
            seed=seed,
            side=tile,
            scheduler=scheduler,
            progress=progress,
        )
        made.attributes = {**method.provenance, **made.attributes}
        predicted = None
        if made.std is not None:
            predicted = prediction(scene, known, method, seed=seed, calibration=made.calibration)

        def whole(name: str, *, spread: bool) -> xr.DataArray:
            data = finished(scene, known, canvases[name], spread=spread, fill=fill)
            return xr.DataArray(data, dims=DIMS)

        result = scene.dataset.assign(
            cube=scene.cube.copy(data=whole("values", spread=False).data),
            flags=(DIMS, finished_flags(scene, known, fill=fill)),
        )
        if "std" in canvases:
            result["std"] = whole("std", spread=True)
        told = attributes(scene, known, made, result, seed=seed, quality=quality, fill=fill)
        striped = bool(told["striped_columns"] or told["striped_lines"])
        errors = error_field(
            str(told["method"]), striped=striped, model=str(told.get("model", "unnamed"))
        )
        if errors is not None:
            told[FIELD] = errors.attribute()
        if made.bands is not None:
            bands = np.eye(scene.bands)
            bands_used = np.flatnonzero(known.used)
            bands[np.ix_(bands_used, bands_used)] = made.bands
            result.encoding[BETWEEN] = bands
        verdict = verdict_of(told, predicted, made.familiar)
        verdict = replace(verdict, calibrated=choice.calibrated(verdict.calibrated))
        told |= verdict.attributes()
        own = sorted(k for k in map(str, scene.dataset.attrs) if k not in ("remarks", "part"))
        return result.assign_attrs(told | {"scene_attributes": own})


def attributes(
    scene: Scene,
    known: Survey,
    made: Denoised,
    result: xr.Dataset,
    *,
    seed: int,
    quality: str,
    fill: bool,
) -> dict[str, Any]:
    """What repeats a run and what is to be known of it.

    Those of the method (method, model, weights_sha256, nfe, nvjp ...), seed, quality, scale, tiles;
    per band of the file, NaN for those that hold nothing, in the cube's unit: noise_std, mean,
    noise_shared (share of the noise's variance that bands have in common), taken_rms (root mean
    square of what was taken away), std_rms (of the standard deviation), and
    residual (in units of the noise; see `denoise`); consistency, the residual over all bands;
    contradicts; dead_share (dead and stuck), striped_columns and striped_lines (in all bands
    together), empty_bands (from 0); flagged, the number of entries in each band with each flag of
    the quality layer; kept_share, of entries that kept their measured values; fill; offset_std, of
    what is left of offsets of all columns or lines, 0 where there were none; warnings.
    """

    def of_all(values: NDArray[np.floating[Any]]) -> list[float]:
        whole = np.full(scene.bands, np.nan)
        whole[known.used] = values
        return [float(v) for v in whole]

    seen = made.residual[np.isfinite(made.residual)]
    consistency = float(np.sqrt((seen**2).mean())) if len(seen) else float("nan")
    contradicts = consistency > CONTRADICTION
    entries = max(1, known.moments.count * len(known.dead))
    dead_share = float(known.dead.sum()) / entries
    empty = np.flatnonzero(~known.used)
    flagged = _flagged(result["flags"])
    found = {
        **made.attributes,
        "quality": quality,
        "seed": seed,
        "scale": known.scale,
        "tiles": made.tiles,
        "noise_estimated": int(known.blind),
        "noise_std": of_all(known.noise.sigma),
        "noise_shared": round(known.noise.shared, 3),
        "mean": of_all(known.moments.mean * known.scale),
        "taken_rms": of_all(made.taken * known.scale),
        "residual": of_all(made.residual),
        "consistency": round(consistency, 4),
        "contradicts": int(contradicts),
        "dead_share": dead_share,
        "striped_columns": int((known.noise.stripes != 0).sum()),
        "striped_lines": int((known.noise.lines != 0).sum()),
        "empty_bands": [int(b) for b in empty],
        "kept_share": sum(int(v.sum()) for k, v in flagged.items() if k == "outlier") / entries,
        "fill": int(fill),
        "offset_std": of_all(known.noise.offset_std),
        "flagged": {k: [int(n) for n in v] for k, v in flagged.items() if v.any()},
        "sciddm_version": sciddm.__version__,
    }
    if made.std is not None:
        found["std_rms"] = of_all(made.std * known.scale)
    warnings = [str(r) for r in scene.dataset.attrs.get("remarks") or ()]
    if len(empty):
        warnings.append(
            f"{_bands(scene, empty)} hold no value, or one everywhere: left as they are."
        )
    if contradicts:
        warnings.append(
            f"The estimate contradicts the data: residual {consistency:.2f} times the noise."
        )
    else:
        off = np.flatnonzero(known.used)[made.residual > CONTRADICTION]
        if len(off):
            warnings.append(
                f"{_bands(scene, off)} differ from the data by more than their noise explains."
            )
    every = np.flatnonzero(known.used)[known.noise.offset_std > 0]
    if len(every):
        left_over = float(np.median(known.noise.offset_std[known.noise.offset_std > 0]))
        warnings.append(
            f"All columns or lines of {len(every)} bands had an offset; what is left of it has a "
            f"standard deviation of about {left_over:.2g}, more where scene and stripes look alike."
        )
    if known.doubt:
        warnings.append(known.doubt)
    for value in scene.undeclared:
        warnings.append(
            f"{value:g} stands for no value though the file does not declare it: these entries "
            "are gaps. State it as the file's nodata."
        )
    full = flagged.get("saturated")
    if full is not None and full.any():
        warnings.append(
            f"{int(full.sum())} entries of {int((full > 0).sum())} bands are saturated: they are "
            "lower bounds."
        )
    if found["kept_share"] > _MANY_LOST:
        warnings.append(
            f"{found['kept_share']:.1%} of the entries are neither noise nor what the method "
            "expects: their measured values were kept (flag outlier)."
        )
    if dead_share > _MANY_DEAD:
        warnings.append(
            f"{dead_share:.0%} of the entries are dead: much of the result is filled in."
        )
    return {**found, "warnings": json.dumps(warnings)}


def _flagged(flags: xr.DataArray) -> dict[str, NDArray[np.int64]]:
    """Names of flags to (band,) entries that have them, block by block."""
    total: dict[str, NDArray[np.int64]] = {}
    blocks = flags.data
    start = 0
    for lines in blocks.chunks[1]:
        part = np.asarray(blocks[:, start : start + lines].compute(scheduler="threads"))
        for name, number in counts(part).items():
            total[name] = total.get(name, np.zeros(len(number), np.int64)) + number
        start += lines
    return total


def _bands(scene: Scene, which: NDArray[np.intp]) -> str:
    if len(which) > _NAMED:
        return f"{len(which)} bands"
    names = band_names(scene.dataset)
    return "Bands at " * ("wavelength" in scene.dataset.coords) + ", ".join(names[b] for b in which)
