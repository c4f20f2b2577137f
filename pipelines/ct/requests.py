"""The verbs of low-dose CT: `sciddm ct` on the command line, `sciddm.ct` in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from sciddm.errors import OptionError, OutputError
from sciddm.pipelines.engine.calls import on_path
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.deferred import deferred
from sciddm.pipelines.engine.domain import Demo, Domain
from sciddm.pipelines.engine.option import Model, Option, Quality, Samples, Seed, option
from sciddm.pipelines.engine.request import (
    GuidanceRequest,
    ImageRequest,
    Request,
    SamplerRequest,
)
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Saving, Target
from sciddm.pipelines.engine.verb import Transform

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["denoise", "evaluate", "reconstruct", "simulate_dose"]

_P, _FILES = "sciddm.pipelines.ct", "sciddm.data_adapters.ct"
VOLUMES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr")
SINOGRAMS = (".h5", ".hdf5")
WRITTEN = (".nii.gz", ".nii", ".mha", ".nrrd", ".h5", ".nc", ".zarr")
FORMS = ("dicom", "nii.gz", "nii", "mha", "nrrd", "h5", "nc", "zarr")
_OUT = (
    "A name without suffix for a DICOM series, or a file whose suffix chooses the format; a folder "
    "for several inputs."
)

Series = Annotated[
    str | None,
    Option("The series to read where a folder holds several: UID, number or description."),
]


class Denoise(ImageRequest, SamplerRequest):
    """Take noise out of low-dose images.

    OUT has the geometry and units (HU) of IN; a DICOM series keeps its patient and study. Beside
    it lie its standard deviation, where the method has one, and a JSON file with all that repeats
    the run. Several inputs go on after a failure, and finished ones are kept when the command is
    run again.
    """

    method: Literal["residual", "filter2noise", "noise2score"] = option(
        "residual",
        "residual: diffusion with a trained model; filter2noise, noise2score: trained on the "
        "image itself.",
    )
    strength: float = option(
        1.0, "How far to go from the input (0) to the estimate (1).", ge=0, le=1
    )
    model: Model = "ct-denoise"
    quality: Quality = "balanced"
    samples: int | None = option(
        None, "Posterior samples to average (residual); the quality decides if not given.", ge=1
    )
    seed: Seed = 0
    series: Series = None

    def check(self) -> None:
        _check_draws(self)
        if self.roi is not None and self.strength != 1:
            raise OptionError("roi", "intervals are of the full strength: leave that out")


class Reconstruct(ImageRequest, GuidanceRequest):
    """Reconstruct images in HU from low-dose or sparse projections.

    Beside OUT lie its standard deviation, where the method has one, and a JSON file with all that
    repeats the run.
    """

    method: Literal["posterior", "tv", "fbp"] = option(
        "posterior",
        "posterior: sampling with a trained prior; tv: weighted total variation; fbp: filtered "
        "back-projection.",
    )
    model: Model = "ct-prior"
    quality: Quality = "balanced"
    samples: Samples = None
    seed: Seed = 0
    window: Literal["ram-lak", "shepp-logan", "cosine", "hann"] = option(
        "ram-lak", "Window on the ramp filter of filtered back-projection."
    )
    size: int | None = option(None, "Pixels a side; the field of view's if not given.", ge=16)
    pixel_mm: float | None = option(None, "Size of the pixels in mm.", gt=0)
    slice_mm: float | None = option(None, "Distance of the slices of DICOM-CT-PD in mm.", gt=0)
    views: int | None = option(None, "Number of views to keep, for comparison.", ge=1)
    dose: float | None = option(
        None, "Fraction of the dose to simulate first, for comparison.", gt=0, le=1
    )

    def check(self) -> None:
        _check_draws(self)


class SimulateDose(Request):
    """Make images or projections as a scan of less dose would have given them.

    An image is projected by a fan-beam scanner and the reconstruction of the noise is added to
    it; its own noise stays in it. A sinogram that states its flux is thinned.
    """

    dose: float = option(0.25, "Fraction of the full dose.", gt=0, le=1)
    noise: float | None = option(
        None, "Noise in HU that the full dose leaves in the middle of the body [20].", gt=0
    )
    flux: float | None = option(None, "Quanta per reading at full dose, in place of --noise.", gt=0)
    electronic_sd: float | None = option(None, "Electronic noise of a reading, quanta [10].", ge=0)
    views: int | None = option(None, "Views per rotation [360].", ge=3)
    projections: bool = option(False, "Write the sinogram (.h5), not an image.")
    seed: Seed = 0
    series: Series = None

    def check(self) -> None:
        if self.noise is not None and self.flux is not None:
            raise OptionError("flux", "noise and flux both say how strong the full dose is: one")


class Evaluate(Request):
    """Measure volumes against references: RMSE, PSNR, SSIM, HU bias, noise and its texture."""

    window: tuple[float, float] = option((-160.0, 240.0), "Lowest and highest HU that count.")

    def check(self) -> None:
        if not self.window[0] < self.window[1]:
            low, high = self.window
            raise OptionError("window", f"from {low:g} to {high:g} HU is given, the lower is first")


def _check_draws(request: Denoise | Reconstruct) -> None:
    has_draws = request.method in ("residual", "posterior")
    for name in ("samples", "sampler", "steps", "guidance", "roi"):
        if getattr(request, name, None) is not None and not has_draws:
            raise OptionError(name, f"{request.method} draws none, leave it out")
    if request.roi is not None and request.samples == 1:
        raise OptionError("roi", "needs a standard deviation: take 2 samples or more")


load_denoiser = lru_cache(maxsize=1)(deferred(f"{_P}.pipeline_denoising:CTDenoising.for_method"))
load_reconstructor = lru_cache(maxsize=1)(
    deferred(f"{_P}.pipeline_reconstruction:CTReconstruction.for_method")
)


def _denoised(volume: xr.DataArray, request: Denoise, context: Context) -> xr.Dataset:
    context.progress(0, 1, "loading the model")
    run = load_denoiser(request.method, request.model).open(
        volume, **request.without("model", "series"), progress=context.progress
    )
    target = context.target
    room = target is None or target.name.lower().endswith((".h5", ".nc", ".zarr"))
    result: xr.Dataset = run.dataset(maps=room)
    return result


def _reconstructed(sinogram: xr.Dataset, request: Reconstruct, context: Context) -> xr.Dataset:
    context.progress(0, 1, "loading the model")
    run = load_reconstructor(request.method, request.model).open(
        sinogram, **request.without("model", "slice_mm"), progress=context.progress
    )
    result: xr.Dataset = run.dataset()
    return result


def _simulated(
    data: xr.DataArray | xr.Dataset, request: SimulateDose, context: Context
) -> xr.Dataset:
    import xarray as xr

    from sciddm.pipelines.ct.simulate import simulate

    projections = request.projections or isinstance(data, xr.Dataset)
    if projections and context.target is not None and context.target.suffix.lower() != ".h5":
        raise OutputError(f"{context.target}: sinograms are written to .h5: rename")
    options = request.without("noise", "series")
    return simulate(data, noise_hu=request.noise, **options, progress=context.progress)


def _source(
    open: Callable[[Path, Any], Any], suffixes: tuple[str, ...], help: str
) -> Source[Any, Any]:
    """Every verb reads DICOM, too: a folder of slices is one item."""
    is_item = partial(deferred("sciddm.data_adapters.dicom_files:is_dicom_item"), others=VOLUMES)
    return Source(open, suffixes, help, is_item, "DICOM series")


def _target(
    image: str, done: Callable[[Any], str], std: Callable[[Any], bool], *, derived: bool = True
) -> Target[Any]:
    """Volumes of every verb have the same formats, series and checks.

    Args:
        image: name of the image in the result.
        done: what was done, in words.
        std: whether the method of a request has a standard deviation.
        derived: made from an image, whose format, patient and study it keeps.
    """

    def outputs(path: Path, request: Any) -> Sequence[Path]:
        from sciddm.data_adapters.ct import ct_outputs

        return ct_outputs(path, spread=std(request))

    def save(result: xr.Dataset, path: Path, saving: Saving[Any]) -> None:
        from sciddm.data_adapters.ct.result import write_ct_result

        write_ct_result(
            result,
            path,
            saving.at,
            image=image,
            done=done(saving.request),
            source=saving.source if derived else None,
            series=saving.request.series if derived else None,
        )

    return Target(
        outputs,
        save,
        WRITTEN,
        _OUT,
        FORMS,
        follow=derived,
        series=".dcm",
        fits=deferred("sciddm.data_adapters.volume_files:check_volume"),
        check=deferred(f"{_FILES}:check_ct_outputs"),
    )


denoise = Transform(
    Denoise,
    compute=_denoised,
    source=_source(
        on_path(f"{_FILES}:open_ct", "series"),
        VOLUMES,
        "DICOM series (folders), NIfTI, MetaImage, NRRD, or a folder.",
    ),
    target=_target(
        "denoised",
        lambda request: f"denoised ({request.method}, strength {request.strength:g})",
        std=lambda request: request.method == "residual" and request.samples != 1,
    ),
    facts=deferred(f"{_P}.describe:denoising_facts"),
    page=deferred(f"{_P}.page:denoising_page"),
    prepare=lambda request: load_denoiser(request.method, request.model),
    estimate="denoised",
    grid=deferred(f"{_P}.slice_pipeline:image_grid"),
)
reconstruct = Transform(
    Reconstruct,
    compute=_reconstructed,
    source=_source(
        on_path(f"{_FILES}:open_sinogram", "slice_mm"),
        SINOGRAMS,
        "Sinograms (.h5), folders of DICOM-CT-PD projections, or a folder.",
    ),
    target=_target(
        "reconstruction",
        lambda request: f"reconstructed ({request.method})",
        std=lambda request: request.method == "posterior",
        derived=False,
    ),
    facts=deferred(f"{_P}.describe:reconstruction_facts"),
    page=deferred(f"{_P}.page:reconstruction_page"),
    prepare=lambda request: load_reconstructor(request.method, request.model),
    estimate="reconstruction",
    grid=deferred(f"{_P}.pipeline_reconstruction:reconstruction_grid"),
)
simulate_dose = Transform(
    SimulateDose,
    compute=_simulated,
    source=_source(
        on_path(f"{_FILES}.open:open_any", "series"),
        (*VOLUMES, *SINOGRAMS),
        "DICOM series, NIfTI, MetaImage, NRRD, sinograms, or a folder.",
    ),
    target=_target(
        "hu", lambda request: f"simulated dose {request.dose:g}", std=lambda request: False
    ),
    facts=deferred(f"{_P}.describe:dose_facts"),
    estimate="hu",
)
evaluate = Comparison(
    Evaluate,
    source=_source(on_path(f"{_P}.evaluate:read_volume"), VOLUMES, ""),
    compare=deferred(f"{_P}.evaluate:compare"),
    columns={
        "rmse_hu": ("RMSE / HU", "{:.1f}"),
        "psnr_db": ("PSNR / dB", "{:.2f}"),
        "ssim": ("SSIM", "{:.3f}"),
        "hu_bias": ("bias / HU", "{:+.1f}"),
        "noise_hu": ("noise / HU", "{:.1f}"),
        "noise_frequency_per_mm": ("its frequency / (1/mm)", "{:.3f}"),
    },
    kind="volume",
)
DOMAIN = Domain(
    "ct",
    "CT: low-dose images and projections.",
    (denoise, reconstruct, simulate_dose, evaluate),
    Demo(denoise, deferred(f"{_P}.demo:simulate"), "a body at a quarter of the dose"),
    deferred(f"{_FILES}.recognise:is_ct"),
    deferred(f"{_FILES}.open:open_any"),
)
__dir__ = DOMAIN.names
