"""The verbs of MRI: ``sciddm mri`` on the command line, ``sciddm.mri`` in Python."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from sciddm.errors import InputError, OptionError
from sciddm.pipelines.engine.calls import on_path, on_result
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.deferred import deferred
from sciddm.pipelines.engine.domain import Demo, Domain
from sciddm.pipelines.engine.option import Model, Option, Quality, Samples, Seed, option
from sciddm.pipelines.engine.request import GuidanceRequest, ImageRequest, NetworkRequest, Request
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Target
from sciddm.pipelines.engine.verb import Transform

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["acquire", "evaluate", "reconstruct", "undersample"]

_P, _FILES = "sciddm.pipelines.mri", "sciddm.data_adapters.mri"
READ = (".h5", ".hdf5", ".mrd", ".ismrmrd", ".dat", ".cfl", ".nc", ".zarr")
RESULTS = (".nii.gz", ".nii", ".mha", ".nrrd", ".h5", ".nc", ".zarr", ".cfl")
IMAGES = (*RESULTS, ".dcm")
KSPACES = (".h5", ".cfl", ".nc", ".zarr")
_OUT = (
    "File, its suffix choosing the format; a new name without one for a DICOM series; a folder for "
    "several scans."
)

Select = Annotated[
    tuple[str, ...],
    Option(
        "What to read of a file with several frames: repetition=0..3, contrast=1; also phase, set, "
        "average, slice. All if not given.",
        metavar="NAME=NUMBERS",
        check=deferred(f"{_FILES}.frames:selection_of"),
    ),
]
Axes = Annotated[
    str | None,
    Option("Order of the axes of HDF5 k-space where the file does not tell, coil,ky,kx say."),
]
Kind = Annotated[
    Literal["random", "equispaced", "gaussian", "poisson"], Option("Kind of sampling mask.")
]
Acs = Annotated[int, Option("Calibration lines in the centre (poisson: side of the square).", ge=0)]
MaskAxis = Annotated[
    Literal["ky", "kx"] | None,
    Option("Undersampled axis; the scan's phase encoding if not given."),
]
NoiseStd = Annotated[
    float | None,
    Option("Noise level sqrt(E|n|^2) of a sample, in the data's units; estimated.", gt=0),
]


class Reconstruct(ImageRequest, GuidanceRequest):
    """Reconstruct images, with their uncertainty, from undersampled k-space.

    Beside OUT lie its standard deviation and a JSON file with all that repeats the run. Several
    scans go on after a failure, and finished ones are kept when the command is run again.
    """

    undersample: float | None = option(
        None,
        "Acceleration factor: undersample a full scan, for comparison.",
        ge=1,
        flags=("--undersample", "-R"),
    )
    mask: Kind = "random"
    acs: Acs = 16
    axis: MaskAxis = None
    seed: Seed = 0
    maps: Path | np.ndarray | None = option(
        None, "Coil sensitivities; estimated from the scan if not given."
    )
    noise_std: NoiseStd = None
    coils: int | None = option(
        None,
        "Number of virtual coils to compress to; 0: none. If not given, scans of more than 12 "
        "coils keep 99.995 % of the signal.",
        ge=0,
    )
    model: Model = "mri-brain"
    quality: Quality = "balanced"
    samples: Samples = None
    keep_samples: bool = option(False, "Keep the samples too (.h5, .nc, .zarr).")
    output_phase: bool = option(
        False,
        "Write the phase too: NAME_phase beside .nii, the complex image in .h5, .nc, .zarr "
        "and .cfl.",
    )
    output_noise_map: bool = option(
        False,
        "Write the noise of the SENSE image and its g-factor too: NAME_noise and NAME_gfactor "
        "beside .nii; in .h5, .nc, .zarr.",
    )
    select: Select = ()
    axes: Axes = None

    def check(self) -> None:
        if self.undersample is None:
            for name in ("mask", "acs", "axis"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise OptionError(
                        name, "is for undersample: a scan that is undersampled already needs none"
                    )
        if isinstance(self.maps, Path) and not self.maps.exists():
            raise OptionError("maps", f"{self.maps}: no such file: check the name")


class Undersample(Request):
    """Undersample fully sampled k-space, to try a reconstruction on.

    Samples that are left out become 0; the mask, and a reference image where the format has a
    place for it, are written with the data.
    """

    undersample: float = option(
        4.0, "Acceleration factor, calibration included.", ge=1, flags=("--undersample", "-R")
    )
    mask: Kind = "random"
    acs: Acs = 16
    axis: MaskAxis = None
    seed: Seed = 0
    select: Select = ()
    axes: Axes = None


class Acquire(NetworkRequest):
    """Choose what to measure of a fully sampled scan, one line after the other.

    It chooses the lines that lower the expected error of the image most, under a belief that is
    drawn from the prior and the data so far. OUT is the scan with those samples, its mask, and the
    order in which they were taken: reconstruct it with `sciddm mri reconstruct`.
    """

    lines: Annotated[int, Option("Number of measured lines, or their worth in samples.", ge=1)]
    centre: int = option(12, "Central lines, which come first.", ge=2)
    axis: Literal["ky", "kx", "both"] = option(
        "ky", "What is chosen: lines of an axis, or samples."
    )
    criterion: Literal["error", "entropy", "variance", "ads_released"] | None = option(
        None, "Criterion of the next choice: error for lines, entropy for samples."
    )
    particles: int = option(8, "Particles of the belief, an even number.", ge=2)
    seed: Seed = 0
    noise_std: NoiseStd = None
    model: Model = "mri-brain"
    select: Select = ()
    axes: Axes = None

    def check(self) -> None:
        if self.particles % 2:
            raise OptionError(
                "particles", f"{self.particles} are given, they come in pairs: take an even number"
            )


class Evaluate(Request):
    """Measure magnitude images against references: PSNR, SSIM, NMSE and coverage of the interval.

    Images are results of `reconstruct` (.nii, .h5, .nc, .zarr, .cfl) or k-space sampled in full,
    which is combined by its coil sensitivities. The larger of two matrices is cut about its middle.
    """

    fit_scale: bool = option(False, "Multiply the estimate by the factor of least squares first.")


load_pipeline = lru_cache(maxsize=1)(deferred(f"{_P}.pipeline:MRIReconstruction.from_pretrained"))


def _reconstructed(scan: xr.Dataset, request: Reconstruct, context: Context) -> xr.Dataset:
    context.progress(0, 1, "loading the model")
    options = request.without("model", "select", "axes")
    result: xr.Dataset = load_pipeline(request.model)(scan, **options, progress=context.progress)
    return result


def _undersampled(scan: xr.Dataset, request: Undersample, context: Context) -> xr.Dataset:
    from sciddm.pipelines.mri.retrospective import Undersampling, undersampled

    return undersampled(
        scan,
        Undersampling(
            **request.values("acs", "axis", "seed", acceleration="undersample", kind="mask")
        ),
    )


def _acquired(scan: xr.Dataset, request: Acquire, context: Context) -> xr.Dataset:
    from sciddm.pipelines.mri.acquire import Acquisition, acquired

    if "trajectory" in scan:
        raise InputError(f"{context.source}: a trajectory has no lines: give a Cartesian scan")
    context.progress(0, 1, "loading the model")
    wanted = Acquisition(**request.without("model", "select", "axes"))
    return acquired(scan, load_pipeline(request.model), wanted, context.progress)


_SOURCE: Source[Any, Any] = Source(
    on_path(f"{_FILES}:open_kspace", "select", "axes"),
    READ,
    "Scans, or a folder of them.",
    # A folder of slices is an output that another may take the place of.
    is_item=deferred("sciddm.data_adapters.dicom_files:is_dicom_item"),
    item="DICOM series",
)


_WRITING = {"phase": "output_phase", "noise_map": "output_noise_map"}
_SCANS: Target[Any] = Target(
    on_path(f"{_FILES}.save:kspace_outputs"),
    on_result(f"{_FILES}.save:write_kspace"),
    KSPACES,
    formats=("h5", "cfl", "nc", "zarr"),
)

reconstruct = Transform(
    Reconstruct,
    source=_SOURCE,
    compute=_reconstructed,
    target=Target(
        on_path(f"{_FILES}.result:mri_outputs", **_WRITING, samples="keep_samples"),
        on_result(f"{_FILES}.result:write_mri_result", **_WRITING),
        IMAGES,
        _OUT,
        formats=("nii.gz", "nii", "h5", "nc", "zarr", "cfl", "dicom"),
        series=".dcm",
        fits=deferred(f"{_FILES}.result:check_room"),
        check=deferred(f"{_FILES}.result:check_mri_outputs"),
    ),
    facts=deferred(f"{_P}.describe:image_facts"),
    page=deferred(f"{_P}.page:mri_page"),
    prepare=lambda request: load_pipeline(request.model),
    estimate="reconstruction",
    grid=deferred(f"{_P}.preparation:image_grid"),
)
undersample = Transform(
    Undersample,
    source=_SOURCE,
    compute=_undersampled,
    target=_SCANS,
    facts=deferred(f"{_P}.describe:kspace_facts"),
    estimate="kspace",
)
acquire = Transform(
    Acquire,
    source=_SOURCE,
    compute=_acquired,
    target=_SCANS,
    facts=deferred(f"{_P}.describe:acquisition_facts"),
    prepare=lambda request: load_pipeline(request.model),
    estimate="kspace",
)
evaluate = Comparison(
    Evaluate,
    source=Source(on_path(f"{_P}.comparison:read_image"), (*RESULTS, ".mrd", ".ismrmrd", ".dat")),
    compare=deferred(f"{_P}.comparison:compare"),
    columns={
        "psnr_volume_db": ("PSNR / dB", "{:.2f}"),
        "ssim_volume": ("SSIM", "{:.3f}"),
        "nmse_volume": ("NMSE", "{:.4f}"),
        "coverage_90": ("90 % interval holds", "{:.3f}"),
    },
    judges_input=False,
    kind="image",
    beside=("_std",),
)
DOMAIN = Domain(
    "mri",
    "MRI: images from multi-coil raw data.",
    (reconstruct, undersample, acquire, evaluate),
    Demo(
        reconstruct,
        deferred(f"{_P}.demo:simulate"),
        "a head of 256 x 224 seen by 8 coils at 30 dB, of which every 4th line is kept",
    ),
    deferred(f"{_FILES}.recognition:is_kspace"),
    deferred(f"{_FILES}:open_kspace"),
)
__dir__ = DOMAIN.names
