"""The verbs of low-dose CT: `sciddm ct` on the command line, `sciddm.ct` in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from sciddm.errors import InputError, OptionError, OutputError
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.domain import Demo, Domain, Example
from sciddm.pipelines.engine.option import Model, Option, Quality, Seed
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Saving, Target
from sciddm.pipelines.engine.verb import Transform

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.pipelines.ct.pipeline_denoising import CTDenoising
    from sciddm.pipelines.ct.pipeline_reconstruction import CTReconstruction
    from sciddm.pipelines.engine.report.page import Report
    from sciddm.pipelines.engine.scores import Score
    from sciddm.pipelines.engine.summary import Fact

__all__ = ["denoise", "evaluate", "reconstruct", "simulate_dose"]

VOLUMES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr")
SINOGRAMS = (".h5", ".hdf5")
WRITTEN = (".nii.gz", ".nii", ".mha", ".nrrd", ".h5", ".nc", ".zarr")
FORMS = ("dicom", "nii.gz", "nii", "mha", "nrrd", "h5", "nc", "zarr")
_ITEM = "DICOM series"
_OUT = (
    "A name without suffix for a DICOM series, or a file whose suffix chooses the format; a folder "
    "for several inputs."
)
_COLUMNS = {
    "rmse_hu": ("RMSE / HU", "{:.1f}"),
    "psnr_db": ("PSNR / dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.3f}"),
    "hu_bias": ("bias / HU", "{:+.1f}"),
    "noise_hu": ("noise / HU", "{:.1f}"),
    "noise_frequency_per_mm": ("its frequency / (1/mm)", "{:.3f}"),
}

Series = Annotated[
    str | None,
    Option("The series to read where a folder holds several: UID, number or description."),
]


class Denoise(Request):
    """Take noise out of low-dose images.

    OUT has the geometry and units (HU) of IN; a DICOM series keeps its patient and study. Beside
    it lie its standard deviation, where the method has one, and a JSON file with all that repeats
    the run. Several inputs go on after a failure, and finished ones are kept when the command is
    run again.
    """

    method: Annotated[
        Literal["residual", "filter2noise", "noise2score"],
        Option(
            "residual: diffusion with a trained model; filter2noise, noise2score: trained on the "
            "image itself."
        ),
    ] = "residual"
    strength: Annotated[
        float, Option("How far to go from the input (0) to the estimate (1).", ge=0, le=1)
    ] = 1.0
    model: Model = "ct-denoise"
    quality: Quality = "balanced"
    samples: Annotated[
        int | None,
        Option("Draws that are averaged (residual); the quality decides if not given.", ge=1),
    ] = None
    seed: Seed = 0
    series: Series = None

    def check(self) -> None:
        _check_samples(self.method, self.samples)


class Reconstruct(Request):
    """Reconstruct images in HU from low-dose or sparse projections.

    Beside OUT lie its standard deviation, where the method has one, and a JSON file with all that
    repeats the run.
    """

    method: Annotated[
        Literal["posterior", "tv", "fbp"],
        Option(
            "posterior: sampling with a trained prior; tv: weighted total variation; fbp: filtered "
            "back-projection."
        ),
    ] = "posterior"
    model: Model = "ct-prior"
    quality: Quality = "balanced"
    samples: Annotated[
        int | None, Option("Posterior samples; the quality decides if not given.", ge=2)
    ] = None
    seed: Seed = 0
    window: Annotated[
        Literal["ram-lak", "shepp-logan", "cosine", "hann"],
        Option("On the ramp of filtered back-projection."),
    ] = "ram-lak"
    size: Annotated[
        int | None, Option("Pixels a side; the field of view's if not given.", ge=16)
    ] = None
    pixel_mm: Annotated[float | None, Option("Size of the pixels in mm.", gt=0)] = None
    slice_mm: Annotated[
        float | None, Option("Distance of the slices of DICOM-CT-PD in mm.", gt=0)
    ] = None
    views: Annotated[
        int | None, Option("Keep so many of the views only, for comparison.", ge=1)
    ] = None
    dose: Annotated[
        float | None,
        Option("Lower the dose to this fraction first, for comparison.", gt=0, le=1),
    ] = None

    def check(self) -> None:
        _check_samples(self.method, self.samples)


class SimulateDose(Request):
    """Make images or projections as a scan of less dose would have given them.

    An image is projected by a fan-beam scanner and the reconstruction of the noise is added to
    it; its own noise stays in it. A sinogram that states its flux is thinned.
    """

    dose: Annotated[float, Option("Fraction of the full dose.", gt=0, le=1)] = 0.25
    noise: Annotated[
        float | None,
        Option("Noise in HU that the full dose leaves in the middle of the body [20].", gt=0),
    ] = None
    flux: Annotated[
        float | None, Option("Quanta per reading at full dose, in place of --noise.", gt=0)
    ] = None
    electronic_sd: Annotated[
        float | None, Option("Electronic noise of a reading, quanta [10].", ge=0)
    ] = None
    views: Annotated[int | None, Option("Views of the turn [360].", ge=3)] = None
    projections: Annotated[bool, Option("Write the sinogram (.h5), not an image.")] = False
    seed: Seed = 0
    series: Series = None

    def check(self) -> None:
        if self.noise is not None and self.flux is not None:
            raise OptionError("flux", "noise and flux both say how strong the full dose is: one")


class Evaluate(Request):
    """Measure volumes against references: RMSE, PSNR, SSIM, HU bias, noise and its texture."""

    window: Annotated[tuple[float, float], Option("Lowest and highest HU that count.")] = (
        -160.0,
        240.0,
    )

    def check(self) -> None:
        if not self.window[0] < self.window[1]:
            low, high = self.window
            raise OptionError("window", f"from {low:g} to {high:g} HU is given, the lower is first")


def _check_samples(method: str, samples: int | None) -> None:
    if samples is not None and method not in ("residual", "posterior"):
        raise OptionError("samples", f"{method} draws none, leave it out")


@lru_cache(maxsize=1)
def load_denoiser(method: str, model: str) -> CTDenoising:
    """The pipeline of a method, with its model if it needs one; read once for a batch."""
    from sciddm.pipelines.ct.pipeline_denoising import CTDenoising

    return CTDenoising() if method in CTDenoising.untrained else CTDenoising.from_pretrained(model)


@lru_cache(maxsize=1)
def load_reconstructor(method: str, model: str) -> CTReconstruction:
    """The pipeline of a method, with its model if it needs one; read once for a batch."""
    from sciddm.pipelines.ct.pipeline_reconstruction import CTReconstruction

    if method in CTReconstruction.untrained:
        return CTReconstruction()
    return CTReconstruction.from_pretrained(model)


def _open_volume(path: Path, request: Denoise) -> xr.DataArray:
    from sciddm.data_adapters.ct import open_ct

    return open_ct(path, request.series)


def _open_any(path: Path, request: SimulateDose) -> xr.DataArray | xr.Dataset:
    from sciddm.data_adapters.ct import open_ct, open_sinogram

    return open_sinogram(path) if _is_sinogram(path) else open_ct(path, request.series)


def _open_sinogram(path: Path, request: Reconstruct) -> xr.Dataset:
    from sciddm.data_adapters.ct import open_sinogram

    return open_sinogram(path, request.slice_mm)


def _open_compared(path: Path, request: Evaluate) -> xr.DataArray:
    from sciddm.data_adapters.ct import open_ct

    return open_ct(path).assign_attrs(path=str(path))


def _denoised(volume: xr.DataArray, request: Denoise, context: Context) -> xr.Dataset:
    from sciddm.data_adapters.volume_files import check_place

    check_place(context.target, volume.attrs)
    context.progress(0, 1, "loading the model")
    run = load_denoiser(request.method, request.model).open(
        volume,
        method=request.method,
        quality=request.quality,
        samples=request.samples,
        seed=request.seed,
        strength=request.strength,
        progress=context.progress,
    )
    return run.dataset(maps=_has_room(context.target))


def _reconstructed(sinogram: xr.Dataset, request: Reconstruct, context: Context) -> xr.Dataset:
    context.progress(0, 1, "loading the model")
    run = load_reconstructor(request.method, request.model).open(
        sinogram,
        method=request.method,
        quality=request.quality,
        samples=request.samples,
        seed=request.seed,
        size=request.size,
        pixel_mm=request.pixel_mm,
        window=request.window,
        views=request.views,
        dose=request.dose,
        progress=context.progress,
    )
    return run.dataset()


def _simulated(
    data: xr.DataArray | xr.Dataset, request: SimulateDose, context: Context
) -> xr.Dataset:
    import xarray as xr

    from sciddm.data_adapters.volume_files import check_place
    from sciddm.pipelines.ct.simulate import simulate

    check_place(context.target, data.attrs)
    projections = request.projections or isinstance(data, xr.Dataset)
    if projections and context.target is not None and context.target.suffix.lower() != ".h5":
        raise OutputError(f"{context.target}: sinograms are written to .h5: rename")
    return simulate(
        data,
        request.dose,
        noise_hu=request.noise,
        flux=request.flux,
        electronic_sd=request.electronic_sd,
        views=request.views,
        projections=request.projections,
        seed=request.seed,
        progress=context.progress,
    )


def _has_room(target: Path | None) -> bool:
    """Whether a format has a place for all variables of a result."""
    return target is None or target.name.lower().endswith((".h5", ".nc", ".zarr"))


def _outputs_denoised(path: Path, request: Denoise) -> Sequence[Path]:
    return _outputs(path, std=request.method == "residual" and request.samples != 1)


def _outputs_reconstructed(path: Path, request: Reconstruct) -> Sequence[Path]:
    return _outputs(path, std=request.method == "posterior")


def _outputs_simulated(path: Path, request: SimulateDose) -> Sequence[Path]:
    return _outputs(path, std=False)


def _outputs(path: Path, *, std: bool) -> Sequence[Path]:
    from sciddm.data_adapters.ct import ct_outputs

    return ct_outputs(path, spread=std)


def _save_denoised(result: xr.Dataset, path: Path, saving: Saving[Denoise]) -> None:
    request = saving.request
    done = f"denoised ({request.method}, strength {request.strength:g})"
    _save(result, path, saving, "denoised", done, request.series)


def _save_reconstructed(result: xr.Dataset, path: Path, saving: Saving[Reconstruct]) -> None:
    done = f"reconstructed ({saving.request.method})"
    _save(result, path, saving, "reconstruction", done, None, derived=False)


def _save_simulated(result: xr.Dataset, path: Path, saving: Saving[SimulateDose]) -> None:
    if "sinogram" in result:
        import sciddm
        from sciddm.data_adapters import save_sinogram
        from sciddm.data_adapters.attributes import sidecar
        from sciddm.data_adapters.ct import ct_outputs

        save_sinogram(result, saving.at[path])
        about = ct_outputs(path, spread=False)[-1]
        text = sidecar(result.attrs, "sinogram", sciddm.__version__)
        saving.at[about].write_text(text, encoding="utf-8")
        return
    done = f"simulated dose {saving.request.dose:g}"
    _save(result, path, saving, "hu", done, saving.request.series)


def _save(
    result: xr.Dataset,
    path: Path,
    saving: Saving[Any],
    image: str,
    done: str,
    series: str | None,
    *,
    derived: bool = True,
) -> None:
    import sciddm
    from sciddm.data_adapters.ct import is_dicom_source, save_ct_result

    source = saving.source if derived else None
    if source is not None and not is_dicom_source(source):
        source = None
    save_ct_result(
        result,
        saving.at[path],
        image=image,
        description=f"sciddm {sciddm.__version__} {done}",
        source=source,
        series=series,
        overwrite=True,
    )


def _facts_denoised(result: xr.Dataset) -> Iterable[Fact]:
    from sciddm.pipelines.ct.describe import denoising_facts

    return denoising_facts(result).values()


def _facts_reconstructed(result: xr.Dataset) -> Iterable[Fact]:
    from sciddm.pipelines.ct.describe import reconstruction_facts

    return reconstruction_facts(result).values()


def _facts_simulated(result: xr.Dataset) -> Iterable[Fact]:
    from sciddm.pipelines.ct.describe import dose_facts

    return dose_facts(result).values()


def _page_denoised(volume: xr.DataArray, result: xr.Dataset) -> Report:
    from sciddm.pipelines.ct.report import denoising_report

    return denoising_report(result)


def _page_reconstructed(sinogram: xr.Dataset, result: xr.Dataset) -> Report:
    from sciddm.pipelines.ct.report import reconstruction_report

    return reconstruction_report(result)


def _is_item(path: Path) -> bool:
    """Whether a folder is one DICOM series."""
    from sciddm.data_adapters.dicom_files import is_dicom_item

    return is_dicom_item(path, VOLUMES)


def _is_sinogram(path: Path) -> bool:
    """Whether an input holds projections, by its name or, of a folder, by its first file."""
    from sciddm.data_adapters.ct import is_projection_folder

    return path.name.lower().endswith(SINOGRAMS) or is_projection_folder(path)


def _check(paths: Sequence[Path], overwrite: bool) -> None:
    from sciddm.data_adapters.ct import check_ct_outputs

    check_ct_outputs(paths, overwrite)


def _series_of(path: Path) -> str:
    """Suffix of the files of an output that is a folder of slices."""
    if path.suffix.lower() in (".json", ".html"):
        return ""
    from sciddm.data_adapters.ct import is_dicom_target

    return ".dcm" if is_dicom_target(path) else ""


def _items(path: Path) -> tuple[Mapping[str, Path], bool]:
    from sciddm.pipelines.ct.evaluate import volumes_in

    return volumes_in(path)


def _compare(
    reference: xr.DataArray | None, estimate: xr.DataArray, score: Score, request: Evaluate
) -> None:
    from sciddm.pipelines.ct.evaluate import compare

    if reference is None:
        raise InputError("ct evaluate compares with a reference: give one")
    compare(reference, estimate, score, request.window)


def _example(folder: Path) -> Example:
    from sciddm.pipelines.ct.demo import simulate_example

    return simulate_example(folder)


def _recognises(path: Path) -> bool:
    """By the modality of a series, the suffix of a volume, or the name of a sinogram."""
    from sciddm.data_adapters.ct.recognise import is_ct

    return is_ct(path)


def _open(path: Path) -> xr.Dataset | xr.DataArray:
    from sciddm.data_adapters.ct import open_ct, open_sinogram

    return open_sinogram(path) if _is_sinogram(path) else open_ct(path)


def _target(outputs: Any, save: Any, *, follow: bool) -> Target[Any]:
    """Volumes of every verb have the same formats, series and checks."""
    return Target(
        outputs, save, WRITTEN, _OUT, FORMS, follow=follow, series=_series_of, check=_check
    )


denoise = Transform(
    Denoise,
    compute=_denoised,
    source=Source(
        _open_volume,
        VOLUMES,
        "DICOM series (folders), NIfTI, MetaImage, NRRD, or a folder.",
        _is_item,
        _ITEM,
    ),
    target=_target(_outputs_denoised, _save_denoised, follow=True),
    facts=_facts_denoised,
    page=_page_denoised,
    prepare=lambda request: load_denoiser(request.method, request.model),
    estimate="denoised",
)
reconstruct = Transform(
    Reconstruct,
    compute=_reconstructed,
    source=Source(
        _open_sinogram,
        SINOGRAMS,
        "Sinograms (.h5), folders of DICOM-CT-PD projections, or a folder.",
        _is_item,
        _ITEM,
    ),
    target=_target(_outputs_reconstructed, _save_reconstructed, follow=False),
    facts=_facts_reconstructed,
    page=_page_reconstructed,
    prepare=lambda request: load_reconstructor(request.method, request.model),
    estimate="reconstruction",
)
simulate_dose = Transform(
    SimulateDose,
    compute=_simulated,
    source=Source(
        _open_any,
        (*VOLUMES, *SINOGRAMS),
        "DICOM series, NIfTI, MetaImage, NRRD, sinograms, or a folder.",
        _is_item,
        _ITEM,
    ),
    target=_target(_outputs_simulated, _save_simulated, follow=True),
    facts=_facts_simulated,
    estimate="hu",
)
evaluate = Comparison(
    Evaluate,
    open=_open_compared,
    items=_items,
    compare=_compare,
    columns=_COLUMNS,
    kind="volume",
)
DOMAIN = Domain(
    "ct",
    "CT: low-dose images and projections.",
    (denoise, reconstruct, simulate_dose, evaluate),
    Demo(denoise, _example, "a body at a quarter of the dose"),
    _recognises,
    _open,
)


def __dir__() -> list[str]:
    return __all__
