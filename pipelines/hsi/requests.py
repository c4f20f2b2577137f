"""The verbs of hyperspectral cubes and their options, each declared once.

Nothing heavy is imported here: readers, pipelines and pages are imported by the functions that use
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from sciddm.errors import OptionError
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.domain import Demo, Domain, Example
from sciddm.pipelines.engine.option import Option, Quality, Seed, bundled_models
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.summary import Fact
from sciddm.pipelines.engine.target import Saving, Target
from sciddm.pipelines.engine.verb import Transform

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.pipelines.engine.report.page import Report
    from sciddm.pipelines.engine.scores import Score

__all__ = ["denoise", "estimate_noise", "evaluate", "simulate"]

#: Suffixes of cubes; of ENVI's two files the header stands for both.
_CUBES = (".hdr", ".tif", ".tiff", ".nc", ".zarr", ".mat", ".npz")
WRITTEN = (*_CUBES, ".img", ".dat", ".bil", ".bip", ".bsq", ".raw")
#: Products of sensors, and virtual rasters, are read only.
READ = (*_CUBES, ".vrt", ".he5", ".h5", ".l1r")
_SCENE: dict[str, Any] = {"lines": 128, "samples": 144, "bands": 80, "level": 0.03}
FORMATS = ("hdr", "tif", "nc", "zarr", "mat", "npz")


class Part(Request):
    """What of a file is taken."""

    variable: Annotated[
        str | None,
        Option("Name of the cube in a file that holds several, as GROUP/NAME."),
    ] = None
    bands: Annotated[
        str | None,
        Option(
            "Take these bands only: numbers from 1 (1-20,35) or wavelengths (900-1700nm).",
            metavar="RANGES",
        ),
    ] = None
    window: Annotated[
        str | None,
        Option("Take these lines and samples only, from 0 (0-99,40-139).", metavar="LINES,SAMPLES"),
    ] = None
    mask: Annotated[
        Path | None,
        Option("Image of one band, 0 where pixels are left out: they stay as they are."),
    ] = None


class Denoise(Part):
    """Take noise, stripes and dead pixels out of cubes of any size.

    OUT has the data type, wavelengths, georeference and other metadata of IN. Beside it lie
    NAME_flags, which says what every entry is; NAME_std, the standard deviation of every entry,
    where the method has one; and a JSON file with all that repeats the run. Several scenes go on
    after a failure, and finished ones are kept when the command is run again.
    """

    method: Annotated[
        str,
        Option(
            "subspace, finch: diffusion with a trained model; dds2m: diffusion without training; "
            "lowrank, tv: classical; destripe: stripes and defects alone."
        ),
    ] = "subspace"
    model: Annotated[
        str | None,
        Option(
            "Model: name, folder or hub:OWNER/NAME; the method's own if not given.",
            complete=bundled_models,
        ),
    ] = None
    quality: Quality = "balanced"
    samples: Annotated[
        int | None,
        Option(
            "Posterior samples for the standard deviation; the quality decides if not given.", ge=2
        ),
    ] = None
    noise_std: Annotated[
        float | str | Path | list[float | None] | None,
        Option(
            "Standard deviation of the noise in the cube's unit, one number or one for each band, "
            "or a .json file of estimate-noise; estimated from the scene if not given."
        ),
    ] = None
    fill: Annotated[
        bool,
        Option("Estimate entries without a value (nodata, NaN, masked), too; they stay so if not."),
    ] = False
    ortho: Annotated[
        bool,
        Option("Write EMIT on its map grid, by the lookup table (GLT); denoised before."),
    ] = False
    cog: Annotated[bool, Option("Write GeoTIFFs as cloud optimised ones.")] = False
    seed: Seed = 0
    tile: Annotated[
        int | None,
        Option("Side of a tile in pixels; by the number of bands if not given.", ge=32),
    ] = None
    scheduler: Annotated[
        str | None,
        Option("Address of a dask scheduler (tcp://host:8786) to do the tiles.", incidental=True),
    ] = None
    pixel: Annotated[
        tuple[str, ...],
        Option("Show its spectrum in the report (from 0).", metavar="LINE,SAMPLE", incidental=True),
    ] = ()

    def check(self) -> None:
        """See ``Request``."""
        if self.places() and self.ortho:
            raise OptionError("pixel", "is a place of the sensor's geometry: leave --ortho out")

    def places(self) -> list[tuple[int, int]]:
        """(line, sample) of the pixels to show."""
        found = []
        for text in self.pixel:
            try:
                line, sample = (int(part) for part in text.split(","))
            except ValueError as error:
                raise OptionError(
                    "pixel", f"{text!r} is given, take LINE,SAMPLE, such as 40,121"
                ) from error
            found.append((line, sample))
        return found


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

    scene: Annotated[
        Path | None, Option("Cube to add the noise to; a simulated scene if not given.")
    ] = None
    lines: Annotated[int, Option("Lines of the scene.", ge=1)] = 256
    samples: Annotated[int, Option("Samples of a line.", ge=1)] = 256
    bands: Annotated[int, Option("Bands, evenly spaced.", ge=1)] = 80
    start: Annotated[float, Option("Where the first band begins, nm.", gt=0)] = 900.0
    stop: Annotated[float, Option("Where the last band ends, nm.", gt=0)] = 1700.0
    noise: Annotated[
        Literal["none", "gaussian", "bands", "mixture", "finch"],
        Option(
            "none; gaussian; bands: another level in each; mixture: that with stripes, dead lines "
            "and impulses; finch: stripe clusters and dead pixels."
        ),
    ] = "finch"
    level: Annotated[
        float,
        Option(
            "Standard deviation of Gaussian noise, reflectance, or share of what is white.", ge=0
        ),
    ] = 0.02
    library: Annotated[
        Path | None, Option("Spectra (.npz of earthlib); procedural ones if not given.")
    ] = None
    seed: Seed = 0

    def check(self) -> None:
        """See ``Request``."""
        if self.stop <= self.start:
            raise OptionError("stop", f"{self.stop:g} is given, take more than {self.start:g}")
        if self.noise == "mixture" and self.scene is None and self.bands < 3:
            raise OptionError("bands", f"{self.bands} is given, the mixture needs 3 or more")


class Evaluate(Request):
    """Measure cubes against clean ones: PSNR of range 1, SSIM, SAM in degrees, ERGAS."""

    scale: Annotated[
        float | None,
        Option(
            "Value that counts as 1; if not given 1 for reflectance, else the largest of the clean "
            "cube.",
            gt=0,
        ),
    ] = None


def _read(path: Path, request: object = None) -> xr.Dataset:
    from sciddm.data_adapters.hsi import open_cube

    if not isinstance(request, Part):
        return open_cube(path)
    return _part(open_cube(path, request.variable), request.stored())


def _part(data: xr.Dataset, stored: Mapping[str, Any]) -> xr.Dataset:
    """What a stored request takes of a cube; the cube itself where its reader took that."""
    from sciddm.data_adapters.hsi.part import masked, part_of

    if "part" in data.attrs:
        return data
    mask = stored.get("mask")
    held = data if mask is None else masked(data, Path(mask))
    held = part_of(held, stored.get("bands"), stored.get("window"))
    return held if held is data else held.assign_attrs(part=1)


def _files(path: Path, request: object = None) -> list[Path]:
    from sciddm.data_adapters.hsi import cube_files

    return cube_files(path)


def _denoise(data: xr.Dataset, request: Denoise, context: Context) -> xr.Dataset:
    from sciddm.data_adapters.hsi.ortho import orthorectified
    from sciddm.pipelines.hsi.assemble import canvases_in
    from sciddm.pipelines.hsi.noise_table import stated_noise
    from sciddm.pipelines.hsi.pipeline import HyperspectralDenoising
    from sciddm.pipelines.hsi.survey import Scene

    scene = Scene(_part(data, request.stored()))
    for line, sample in request.places():
        if not (0 <= line < scene.lines and 0 <= sample < scene.samples):
            raise OptionError(
                "pixel",
                f"{line},{sample} is given, the scene has {scene.lines} lines and "
                f"{scene.samples} samples, counted from 0",
            )
    result = HyperspectralDenoising(request.method, request.model).scene(
        scene,
        canvases_in(context.scratch),
        quality=request.quality,
        samples=request.samples,
        seed=request.seed,
        noise_std=stated_noise(request.noise_std, scene.bands),
        fill=request.fill,
        tile=request.tile,
        scheduler=request.scheduler,
        progress=context.progress,
    )
    if request.ortho:
        result = orthorectified(result)
    if request.cog:
        result = result.assign_attrs(tiff={**(result.attrs.get("tiff") or {}), "cog": True})
    result = result.assign_attrs(shown_pixels=[list(place) for place in request.places()])
    if context.target is not None:
        _told_of_place(result, context.target)
    return result


def _told_of_place(result: xr.Dataset, path: Path) -> None:
    """Warns where a format cannot hold where the pixels of a cube in sensor geometry lie."""
    import json

    from sciddm.data_adapters.hsi.ortho import has_lookup
    from sciddm.pipelines.engine.summary import warnings_of

    words = (
        f"{path.suffix} cannot hold the latitudes, longitudes and lookup table (GLT) of the cube: "
        "they are left out. Take --ortho for a map, or write .nc."
    )
    told = warnings_of(result.attrs)
    if has_lookup(result) and path.suffix.lower() not in (".nc", ".zarr") and words not in told:
        result.attrs["warnings"] = json.dumps([*told, words])


def _prepare(request: Denoise) -> None:
    from sciddm.pipelines.hsi.methods.build import build_method

    build_method(request.method, request.model, request.quality, request.samples)


def _denoised_outputs(path: Path, request: Denoise) -> list[Path]:
    from sciddm.data_adapters.hsi.result import result_outputs
    from sciddm.pipelines.hsi.methods import build

    return result_outputs(path, spread=build.method_class(request.method).has_std)


def _stale(path: Path, request: Denoise) -> list[Path]:
    from sciddm.data_adapters.hsi.result import result_outputs

    outputs = _denoised_outputs(path, request)
    return [p for p in result_outputs(path, spread=True) if p not in outputs]


def _save(result: xr.Dataset, path: Path, saving: Saving[Denoise]) -> None:
    from sciddm.data_adapters.hsi.result import write_result

    _told_of_place(result, path)
    write_result(result, path, saving.at)


def _denoised_facts(result: xr.Dataset) -> Iterator[Fact]:
    from sciddm.pipelines.hsi.describe import facts

    yield from facts(result, result.attrs).values()


def _page(data: xr.Dataset, result: xr.Dataset) -> Report:
    from sciddm.data_adapters.hsi.ortho import has_lookup, orthorectified
    from sciddm.pipelines.hsi.page import hsi_report

    data = _part(data, result.attrs.get("request") or {})
    if has_lookup(data) and not has_lookup(result):
        data = orthorectified(data)
    return hsi_report(data, result)


def _noise(data: xr.Dataset, request: EstimateNoise, context: Context) -> xr.Dataset:
    from sciddm.pipelines.hsi.noise_table import noise_table

    return noise_table(_part(data, request.stored()), context.progress)


def _noise_outputs(path: Path, request: EstimateNoise) -> list[Path]:
    return [path]


def _save_noise(result: xr.Dataset, path: Path, saving: Saving[EstimateNoise]) -> None:
    from sciddm.pipelines.hsi.noise_table import as_text, write_bad_bands

    if path.suffix.lower() == ".hdr":
        write_bad_bands(result, path, saving.at[path])
        return
    saving.at[path].write_text(as_text(result, path.suffix.lower()), encoding="utf-8")


def _noise_facts(result: xr.Dataset) -> Iterator[Fact]:
    from sciddm.pipelines.hsi.noise_table import noise_facts

    yield from noise_facts(result)


def _noise_listing(result: xr.Dataset) -> tuple[list[str], list[list[str]]]:
    from sciddm.pipelines.hsi.noise_table import listing

    return listing(result)


def _simulate(data: None, request: Simulate, context: Context) -> xr.Dataset:
    from sciddm.pipelines.hsi.scenes import simulated

    return simulated(request, _read(request.scene) if request.scene is not None else None)


def _simulated_outputs(path: Path, request: Simulate) -> list[Path]:
    from sciddm.data_adapters.hsi import cube_outputs
    from sciddm.pipelines.hsi.scenes import truth_path

    main = sorted(cube_outputs(path), key=lambda p: p != path)
    return main if request.scene is not None else [*main, *cube_outputs(truth_path(path))]


def _save_simulated(result: xr.Dataset, path: Path, saving: Saving[Simulate]) -> None:
    from sciddm.data_adapters.hsi.files import write_cube
    from sciddm.pipelines.hsi.scenes import truth_path

    run = ("case", "level", "psnr_db", "command", "request", "seconds", "date", "versions")
    held = result.drop_attrs(deep=False).assign_attrs(
        {k: v for k, v in result.attrs.items() if k not in (*run, "input", "input_sha256")}
    )
    if "truth" in held:
        truth = held.assign(cube=held["truth"]).drop_vars("truth")
        write_cube(truth, truth_path(path), saving.at)
        held = held.drop_vars("truth")
    write_cube(held, path, saving.at)


def _simulated_facts(result: xr.Dataset) -> Iterator[Fact]:
    from sciddm.pipelines.hsi.describe import matrix

    yield matrix(result)
    case = str(result.attrs["case"])
    yield Fact("case", "noise", case, case)
    if "psnr_db" in result.attrs:
        quality = float(result.attrs["psnr_db"])
        yield Fact("psnr_db", "PSNR of the noisy cube", quality, f"{quality:.2f} dB")


def _compare(
    reference: xr.Dataset | None, estimate: xr.Dataset, score: Score, request: Evaluate
) -> None:
    from sciddm.pipelines.hsi.evaluate import compare

    assert reference is not None
    compare(reference, estimate, score, request.scale)


def _items(path: Path) -> tuple[Mapping[str, Path], bool]:
    from sciddm.pipelines.hsi.evaluate import cubes_in

    return cubes_in(path, READ)


def _recognises(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".zarr":
        return path.is_dir()
    return path.is_file() and (suffix in (".hdr", ".bil", ".bip", ".bsq", ".he5", ".l1r"))


def _demo(folder: Path) -> Example:
    source, truth, target = (folder / f"{n}.hdr" for n in ("scene", "scene_truth", "denoised"))
    simulate(**_SCENE).save(source, overwrite=True)

    def told() -> Iterator[Fact]:
        from sciddm.pipelines.engine.scores import Score
        from sciddm.pipelines.hsi.evaluate import compare

        for label, cube in (("noisy", source), ("denoised", target)):
            score = Score(label)
            compare(_read(truth), _read(cube), score, 1.0)
            for key, words, form in (
                ("psnr_db", "PSNR", "{:.2f} dB"),
                ("sam_deg", "SAM", "{:.2f} deg"),
            ):
                value = score.values[key]
                yield Fact(f"{label}_{key}", f"{words}, {label}", value, form.format(value))

    return Example(source, target, (source, truth), {}, told)


_SOURCE: Source[Any, Any] = Source(_read, READ, "Scenes, or a folder of them.", files=_files)
denoise = Transform(
    Denoise,
    compute=_denoise,
    source=_SOURCE,
    target=Target(
        _denoised_outputs, _save, WRITTEN, formats=FORMATS, follow=True, stale=_stale,
        help="File, its suffix choosing the format; a folder for several scenes.",
    ),
    facts=_denoised_facts,
    page=_page,
    prepare=_prepare,
    estimate="cube",
)  # fmt: skip
estimate_noise = Transform(
    EstimateNoise,
    compute=_noise,
    source=_SOURCE,
    target=Target(
        _noise_outputs, _save_noise, (".json", ".csv", ".hdr"), optional=True, single=True,
        help="Noise of every band: .json, which denoise --noise-std takes, .csv, or .hdr (bbl).",
    ),
    facts=_noise_facts,
    listing=_noise_listing,
    estimate="noise_std",
)  # fmt: skip
simulate = Transform(
    Simulate,
    compute=_simulate,
    source=None,
    target=Target(
        _simulated_outputs, _save_simulated, WRITTEN, help="File, its suffix choosing the format."
    ),
    facts=_simulated_facts,
    estimate="cube",
)
_COLUMNS = {
    "psnr_db": ("PSNR / dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.4f}"),
    "sam_deg": ("SAM / deg", "{:.2f}"),
    "ergas": ("ERGAS", "{:.2f}"),
    "scale": ("white", "{:g}"),
}
evaluate = Comparison(
    Evaluate,
    open=_read,
    items=_items,
    compare=_compare,
    columns=_COLUMNS,
    kind="cube",
    flags=("--clean", "--denoised"),
)
DOMAIN = Domain(
    "hsi",
    "Hyperspectral: satellite cubes without noise.",
    (denoise, estimate_noise, simulate, evaluate),
    Demo(denoise, _demo, "128 x 144 pixels of 80 bands with noise, stripes and dead pixels"),
    _recognises,
    _read,
)


def __dir__() -> list[str]:
    return list(__all__)
