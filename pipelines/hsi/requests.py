"""The verbs of hyperspectral cubes and their options, each declared once.

Nothing heavy is imported here: readers, pipelines and pages are imported by the functions that use
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sciddm.errors import OptionError
from sciddm.pipelines.engine.calls import on_data, on_path, on_result
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.deferred import deferred
from sciddm.pipelines.engine.domain import Demo, Domain
from sciddm.pipelines.engine.option import (
    Quality,
    Seed,
    bundled_models,
    option,
    two_numbers,
)
from sciddm.pipelines.engine.request import ImageRequest, Request, SamplerRequest
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Target
from sciddm.pipelines.engine.verb import Transform

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["denoise", "estimate_noise", "evaluate", "simulate"]

_P, _FILES = "sciddm.pipelines.hsi", "sciddm.data_adapters.hsi"
#: Suffixes of cubes; of ENVI's two files the header stands for both.
_CUBES = (".hdr", ".tif", ".tiff", ".nc", ".zarr", ".mat", ".npz")
WRITTEN = (*_CUBES, ".img", ".dat", ".bil", ".bip", ".bsq", ".raw")
#: Products of sensors, and virtual rasters, are read only.
READ = (*_CUBES, ".vrt", ".he5", ".h5", ".l1r")
_PART = ("bands", "window", "mask")


class Part(Request):
    """What of a file is taken."""

    variable: str | None = option(
        None, "Name of the cube in a file that holds several, as GROUP/NAME."
    )
    bands: str | None = option(
        None,
        "Take these bands only: numbers from 1 (1-20,35) or wavelengths (900-1700nm).",
        metavar="RANGES",
    )
    window: str | None = option(
        None, "Take these lines and samples only, from 0 (0-99,40-139).", metavar="LINES,SAMPLES"
    )
    mask: Path | None = option(
        None, "Image of one band, 0 where pixels are left out: they stay as they are."
    )


class Denoise(Part, ImageRequest, SamplerRequest):
    """Take noise, stripes and dead pixels out of cubes of any size.

    OUT has the data type, wavelengths, georeference and other metadata of IN. Beside it lie
    NAME_flags, which says what every entry is; NAME_std, the standard deviation of every entry,
    where the method has one; and a JSON file with all that repeats the run. Several scenes go on
    after a failure, and finished ones are kept when the command is run again.
    """

    method: str = option(
        "subspace",
        "subspace, finch: diffusion with a trained model; dds2m: diffusion without training; "
        "lowrank, tv: classical; destripe: stripes and defects alone.",
    )
    model: str | None = option(
        None,
        "Model: name, folder or hub:OWNER/NAME; the method's own if not given.",
        complete=bundled_models,
    )
    quality: Quality = "balanced"
    samples: int | None = option(
        None,
        "Posterior samples for the standard deviation; the quality decides if not given.",
        ge=2,
    )
    noise_std: float | str | Path | list[float | None] | None = option(
        None,
        "Standard deviation of the noise in the cube's unit, one number or one for each band, "
        "or a .json file of estimate-noise; estimated from the scene if not given.",
    )
    fill: bool = option(
        False, "Estimate entries without a value (nodata, NaN, masked), too; they stay so if not."
    )
    ortho: bool = option(
        False, "Write EMIT on its map grid, by the lookup table (GLT); denoised before."
    )
    cog: bool = option(False, "Write GeoTIFFs as cloud optimised ones.")
    seed: Seed = 0
    tile: int | None = option(
        None, "Side of a tile in pixels; by the number of bands if not given.", ge=32
    )
    scheduler: str | None = option(
        None, "Address of a dask scheduler (tcp://host:8786) to do the tiles.", incidental=True
    )
    pixel: tuple[str, ...] = option(
        (), "Show its spectrum in the report (from 0).", metavar="LINE,SAMPLE", incidental=True
    )

    def check(self) -> None:
        if self.places() and self.ortho:
            raise OptionError("pixel", "is a place of the sensor's geometry: leave --ortho out")
        if self.roi is not None and self.method != "subspace":
            raise OptionError("roi", f"{self.method} has no calibrated errors: take subspace")

    def places(self) -> list[tuple[int, int]]:
        """(line, sample) of the pixels to show."""
        form = "LINE,SAMPLE, such as 40,121"
        return [two_numbers("pixel", text, ",", int, form) for text in self.pixel]


class EstimateNoise(Part):
    """Estimate noise, stripes and defects of cubes from the cubes alone.

    Prints one line per band, and which bands are bad. OUT is a .json file, which denoise
    --noise-std takes and which holds the bad band list (bbl), a .csv table, or a .hdr: the ENVI
    header of IN with that list, to take its place.
    """


class Simulate(Request):
    """Add noise to a cube, or make a scene of soil, crop residue and green vegetation with it.

    With --scene the noise is that of the case on your own cube. Without, OUT is a scene as FINCH
    sees it (0.9 to 1.7 um), and NAME_truth beside it is the same without noise.
    """

    scene: Path | None = option(None, "Cube to add the noise to; a simulated scene if not given.")
    lines: int = option(256, "Lines of the scene.", ge=1)
    samples: int = option(256, "Samples of a line.", ge=1)
    bands: int = option(80, "Bands, evenly spaced.", ge=1)
    start: float = option(900.0, "Where the first band begins, nm.", gt=0)
    stop: float = option(1700.0, "Where the last band ends, nm.", gt=0)
    noise: Literal["none", "gaussian", "bands", "mixture", "finch"] = option(
        "finch",
        "none; gaussian; bands: another level in each; mixture: that with stripes, dead lines "
        "and impulses; finch: stripe clusters and dead pixels.",
    )
    level: float = option(
        0.02, "Standard deviation of Gaussian noise, reflectance, or share of what is white.", ge=0
    )
    library: Path | None = option(None, "Spectra (.npz of earthlib); procedural ones if not given.")
    seed: Seed = 0

    def check(self) -> None:
        if self.stop <= self.start:
            raise OptionError("stop", f"{self.stop:g} is given, take more than {self.start:g}")
        if self.noise == "mixture" and self.scene is None and self.bands < 3:
            raise OptionError("bands", f"{self.bands} is given, the mixture needs 3 or more")


class Evaluate(Request):
    """Measure cubes against clean ones: PSNR of range 1, SSIM, SAM in degrees, ERGAS."""

    scale: float | None = option(
        None,
        "Value that counts as 1; if not given 1 for reflectance, else the largest of the clean "
        "cube.",
        gt=0,
    )


_read = deferred(f"{_FILES}:open_cube")
_result_outputs = deferred(f"{_FILES}.result:result_outputs")
_build_method = deferred(f"{_P}.methods.build:build_method")


def _denoise(data: xr.Dataset, request: Denoise, context: Context) -> xr.Dataset:
    from sciddm.data_adapters.hsi.ortho import orthorectified, warn_of_place
    from sciddm.data_adapters.hsi.part import taken
    from sciddm.pipelines.hsi.assemble import canvases_in
    from sciddm.pipelines.hsi.noise_table import stated_noise
    from sciddm.pipelines.hsi.pipeline import HyperspectralDenoising
    from sciddm.pipelines.hsi.survey import Scene

    scene = Scene(taken(data, **request.values(*_PART)))
    for line, sample in request.places():
        if not scene.holds(line, sample):
            raise OptionError(
                "pixel",
                f"{line},{sample} is given, the scene has {scene.lines} lines and "
                f"{scene.samples} samples, counted from 0",
            )
    result = HyperspectralDenoising(request.method, request.model).scene(
        scene,
        canvases_in(context.scratch),
        **request.without(
            *Part.declared(), "method", "model", "noise_std", "pixel", "ortho", "cog"
        ),
        noise_std=stated_noise(request.noise_std, scene.bands),
        progress=context.progress,
    )
    own = set(result.attrs["scene_attributes"])
    if request.ortho:
        result = orthorectified(result)
        own |= {k for k in ("transform", "crs", "nodata") if k in result.attrs}
    if request.cog:
        result = result.assign_attrs(tiff={**(result.attrs.get("tiff") or {}), "cog": True})
        own.add("tiff")
    result = result.assign_attrs(scene_attributes=sorted(own))
    result = result.assign_attrs(shown_pixels=[list(place) for place in request.places()])
    if context.target is not None:
        warn_of_place(result, context.target)
    return result


def _denoised_outputs(path: Path, request: Denoise) -> list[Path]:
    from sciddm.pipelines.hsi.methods import build

    outputs: list[Path] = _result_outputs(path, spread=build.method_class(request.method).has_std)
    return outputs


def _simulate(data: None, request: Simulate, context: Context) -> xr.Dataset:
    from sciddm.pipelines.hsi.simulation import simulated

    scene = None if request.scene is None else _read(request.scene)
    return simulated(scene, **request.without("scene"))


_SOURCE: Source[Any, Any] = Source(
    on_path(f"{_FILES}.part:open_part", "variable", *_PART),
    READ,
    "Scenes, or a folder of them.",
    files=on_path(f"{_FILES}:cube_files"),
)
denoise = Transform(
    Denoise,
    compute=_denoise,
    source=_SOURCE,
    target=Target(
        _denoised_outputs,
        on_result(f"{_FILES}.result:write_result"),
        WRITTEN,
        "File, its suffix choosing the format; a folder for several scenes.",
        formats=("hdr", "tif", "nc", "zarr", "mat", "npz"),
        follow=True,
        stale=lambda path, request: _result_outputs(path, spread=True),
    ),
    facts=deferred(f"{_P}.describe:facts"),
    page=deferred(f"{_P}.page:hsi_page"),
    prepare=lambda r: _build_method(r.method, r.model, r.quality, r.samples),
    estimate="cube",
    grid=deferred(f"{_P}.describe:image_grid"),
    each_layer=True,
)
estimate_noise = Transform(
    EstimateNoise,
    compute=on_data(f"{_P}.noise_table:noise_table", *_PART),
    source=_SOURCE,
    target=Target(
        lambda path, request: [path],
        on_result(f"{_P}.noise_table:write_table"),
        (".json", ".csv", ".hdr"),
        "Noise of every band: .json, which denoise --noise-std takes, .csv, or .hdr (bbl).",
        optional=True,
        single=True,
    ),
    facts=deferred(f"{_P}.noise_table:noise_facts"),
    listing=deferred(f"{_P}.noise_table:listing"),
    estimate="noise_std",
)
simulate = Transform(
    Simulate,
    compute=_simulate,
    source=None,
    target=Target(
        on_path(f"{_FILES}.result:simulation_outputs", "scene"),
        on_result(f"{_FILES}.result:write_simulation"),
        WRITTEN,
        "File, its suffix choosing the format.",
    ),
    facts=deferred(f"{_P}.describe:simulation_facts"),
    estimate="cube",
)
evaluate = Comparison(
    Evaluate,
    source=Source(on_path(f"{_FILES}:open_cube"), READ),
    compare=deferred(f"{_P}.evaluate:compare"),
    columns={
        "psnr_db": ("PSNR / dB", "{:.2f}"),
        "ssim": ("SSIM", "{:.4f}"),
        "sam_deg": ("SAM / deg", "{:.2f}"),
        "ergas": ("ERGAS", "{:.2f}"),
        "scale": ("white", "{:g}"),
    },
    kind="cube",
    beside=("_std", "_flags"),
    flags=("--clean", "--denoised"),
)
DOMAIN = Domain(
    "hsi",
    "Hyperspectral: satellite cubes without noise.",
    (denoise, estimate_noise, simulate, evaluate),
    Demo(
        denoise,
        deferred(f"{_P}.demo:simulate"),
        "128 x 144 pixels of 80 bands with noise, stripes and dead pixels",
    ),
    deferred(f"{_FILES}.files:is_cube"),
    _read,
)
__dir__ = DOMAIN.names
