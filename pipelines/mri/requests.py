"""The verbs of MRI: ``sciddm mri`` on the command line, ``sciddm.mri`` in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from sciddm.errors import InputError, OptionError, OutputError
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.deferred import deferred
from sciddm.pipelines.engine.domain import Demo, Domain
from sciddm.pipelines.engine.option import Model, Option, Quality, Seed
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Saving, Target
from sciddm.pipelines.engine.verb import Transform

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.pipelines.engine.scores import Score
    from sciddm.pipelines.mri.pipeline import MRIReconstruction

__all__ = ["acquire", "evaluate", "reconstruct", "undersample"]

READ = (".h5", ".hdf5", ".mrd", ".ismrmrd", ".dat", ".cfl", ".nc", ".zarr")
IMAGES = (".nii.gz", ".nii", ".h5", ".nc", ".zarr", ".cfl", ".dcm")
KSPACES = (".h5", ".cfl", ".nc", ".zarr")
_RAW_FORMATS = ("h5", "cfl", "nc", "zarr")
_WITH_SAMPLES = (".h5", ".nc", ".zarr")
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


class Reconstruct(Request):
    """Reconstruct images, with their uncertainty, from undersampled k-space.

    Beside OUT lie its standard deviation and a JSON file with all that repeats the run. Several
    scans go on after a failure, and finished ones are kept when the command is run again.
    """

    undersample: Annotated[
        float | None,
        Option(
            "Acceleration factor: undersample a full scan, for comparison.",
            ge=1,
            flags=("--undersample", "-R"),
        ),
    ] = None
    mask: Kind = "random"
    acs: Acs = 16
    axis: MaskAxis = None
    seed: Seed = 0
    maps: Annotated[
        Path | np.ndarray | None,
        Option("Coil sensitivities; estimated from the scan if not given."),
    ] = None
    noise_std: NoiseStd = None
    coils: Annotated[
        int | None,
        Option(
            "Compress to so many virtual coils; 0: none. If not given, scans of more than 12 to as "
            "few as keep 99.995 % of the signal.",
            ge=0,
        ),
    ] = None
    model: Model = "mri-brain"
    quality: Quality = "balanced"
    samples: Annotated[
        int | None, Option("Posterior samples; the quality decides if not given.", ge=2)
    ] = None
    keep_samples: Annotated[bool, Option("Keep the samples too (.h5, .nc, .zarr).")] = False
    output_phase: Annotated[
        bool,
        Option(
            "Write the phase too: NAME_phase beside .nii, the complex image in .h5, .nc, .zarr "
            "and .cfl."
        ),
    ] = False
    output_noise_map: Annotated[
        bool,
        Option(
            "Write the noise of the SENSE image and its g-factor too: NAME_noise and NAME_gfactor "
            "beside .nii; in .h5, .nc, .zarr."
        ),
    ] = False
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
        _selection(self.select)


class Undersample(Request):
    """Undersample fully sampled k-space, to try a reconstruction on.

    Samples that are left out become 0; the mask, and a reference image where the format has a
    place for it, are written with the data.
    """

    undersample: Annotated[
        float,
        Option("Acceleration factor, calibration included.", ge=1, flags=("--undersample", "-R")),
    ] = 4.0
    mask: Kind = "random"
    acs: Acs = 16
    axis: MaskAxis = None
    seed: Seed = 0
    select: Select = ()
    axes: Axes = None

    def check(self) -> None:
        _selection(self.select)


class Acquire(Request):
    """Choose what to measure of a fully sampled scan, one line after the other.

    The lines that will lower the expected error of the image most, as a belief drawn from the prior
    and the data so far has it. OUT is the scan with those samples, its mask, and the order in which
    they were taken: reconstruct it with `sciddm mri reconstruct`.
    """

    lines: Annotated[int, Option("Lines measured in all; for axis both their worth.", ge=1)]
    centre: Annotated[int, Option("Central lines, which come first.", ge=2)] = 12
    axis: Annotated[
        Literal["ky", "kx", "both"], Option("What is chosen: lines of an axis, or samples.")
    ] = "ky"
    criterion: Annotated[
        Literal["error", "entropy", "variance", "ads_released"] | None,
        Option("By which the next is chosen: error for lines, entropy for samples."),
    ] = None
    particles: Annotated[int, Option("Of the belief, an even number.", ge=2)] = 8
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
        _selection(self.select)


class Evaluate(Request):
    """Measure magnitude images against references: PSNR, SSIM, NMSE and coverage of the interval.

    Images are results of `reconstruct` (.nii, .h5, .nc, .zarr, .cfl) or k-space sampled in full,
    which is combined by its coil sensitivities. The larger of two matrices is cut about its middle.
    """

    fit_scale: Annotated[
        bool, Option("Multiply the estimate by the factor of least squares first.")
    ] = False


@lru_cache(maxsize=1)
def load_pipeline(model: str) -> MRIReconstruction:
    """The pipeline of a model; read once for all files of a batch."""
    from sciddm.pipelines.mri.pipeline import MRIReconstruction

    return MRIReconstruction.from_pretrained(model)


def _selection(words: Sequence[str]) -> dict[str, list[int]]:
    """{"repetition": [0, 1, 2]} of ("repetition=0..2",).

    Raises:
        OptionError: not NAME=NUMBERS.
    """
    chosen: dict[str, list[int]] = {}
    for word in words:
        name, sign, numbers = word.partition("=")
        try:
            if not sign:
                raise ValueError
            for part in numbers.split(","):
                first, _, last = part.partition("..")
                chosen.setdefault(name.strip(), []).extend(
                    range(int(first), int(last or first) + 1)
                )
        except ValueError:
            raise OptionError(
                "select", f"{word} is given, take a name and numbers, such as repetition=0..3"
            ) from None
    return chosen


def _open(path: Path, request: Reconstruct | Undersample | Acquire) -> xr.Dataset:
    from sciddm.data_adapters.mri import open_kspace

    axes = None if request.axes is None else [a.strip() for a in request.axes.split(",")]
    return open_kspace(path, select=_selection(request.select) or None, axes=axes)


# Reconstruction ---------------------------------------------------------------------------------


def _reconstructed(scan: xr.Dataset, request: Reconstruct, context: Context) -> xr.Dataset:
    if context.target is not None:
        _check_target(context.target, request, scan.sizes["slice"])
    context.progress(0, 1, "loading the model")
    return load_pipeline(request.model)(
        scan,
        quality=request.quality,
        samples=request.samples,
        seed=request.seed,
        maps=request.maps,
        noise_std=request.noise_std,
        coils=request.coils,
        undersample=request.undersample,
        mask=request.mask,
        acs=request.acs,
        axis=request.axis,
        keep_samples=request.keep_samples,
        output_phase=request.output_phase,
        output_noise_map=request.output_noise_map,
        progress=context.progress,
    )


def _check_target(path: Path, request: Reconstruct, slices: int) -> None:
    from sciddm.data_adapters.mri.result import check_slices

    check_slices(path, slices)
    _check_place_for_samples(path, request)


def _check_place_for_samples(path: Path, request: Reconstruct) -> None:
    if request.keep_samples and not path.name.lower().endswith(_WITH_SAMPLES):
        raise OutputError(f"{path}: has no place for samples, use {', '.join(_WITH_SAMPLES)}")


def _image_outputs(path: Path, request: Reconstruct) -> Sequence[Path]:
    from sciddm.data_adapters.mri.result import mri_outputs

    _check_place_for_samples(path, request)
    return mri_outputs(path, phase=request.output_phase, noise_map=request.output_noise_map)


def _save_image(result: xr.Dataset, path: Path, saving: Saving[Reconstruct]) -> None:
    from sciddm.data_adapters.mri.result import save_mri_result

    save_mri_result(
        result,
        saving.at[path],
        phase=saving.request.output_phase,
        noise_map=saving.request.output_noise_map,
        overwrite=True,
    )


def _check(paths: Sequence[Path], overwrite: bool) -> None:
    from sciddm.data_adapters.mri.result import check_mri_outputs

    check_mri_outputs(paths, overwrite)


def _series(path: Path) -> str:
    """Suffix of the files of a DICOM series; empty for files."""
    beside = path.suffix.lower() in (".json", ".html", ".hdr")
    return "" if beside or path.name.lower().endswith(IMAGES) else ".dcm"


# k-space ----------------------------------------------------------------------------------------


def _undersampled(scan: xr.Dataset, request: Undersample, context: Context) -> xr.Dataset:
    from sciddm.pipelines.mri.retrospective import Undersampling, undersampled

    return undersampled(
        scan,
        Undersampling(request.undersample, request.mask, request.acs, request.axis, request.seed),
    )


def _acquired(scan: xr.Dataset, request: Acquire, context: Context) -> xr.Dataset:
    from sciddm.pipelines.mri.acquire import Acquisition, acquired

    if "trajectory" in scan:
        raise InputError(f"{context.source}: a trajectory has no lines: give a Cartesian scan")
    context.progress(0, 1, "loading the model")
    wanted = Acquisition(
        request.lines,
        request.centre,
        request.axis,
        request.criterion,
        request.particles,
        request.seed,
        request.noise_std,
    )
    return acquired(scan, load_pipeline(request.model), wanted, context.progress)


def _raw_outputs(path: Path, request: Request) -> Sequence[Path]:
    from sciddm.data_adapters.mri.save import kspace_outputs

    return kspace_outputs(path)


def _save_raw(result: xr.Dataset, path: Path, saving: Saving[Any]) -> None:
    from sciddm.data_adapters.mri.save import write_kspace

    write_kspace(result, path, saving.at)


# Evaluation, demo, recognition ------------------------------------------------------------------


def _open_compared(path: Path, request: Evaluate) -> xr.Dataset:
    from sciddm.pipelines.mri.comparison import read_image

    return read_image(path)


def _compare(
    reference: xr.Dataset | None, estimate: xr.Dataset, score: Score, request: Evaluate
) -> None:
    from sciddm.pipelines.mri.comparison import compare

    assert reference is not None
    compare(reference, estimate, score, fit_scale=request.fit_scale)


def _images_in(path: Path) -> tuple[Mapping[str, Path], bool]:
    from sciddm.pipelines.mri.comparison import images_in

    return images_in(path)


def _recognises(path: Path) -> bool:
    from sciddm.data_adapters.mri.recognition import is_kspace

    return is_kspace(path)


def _open_any(path: Path) -> xr.Dataset:
    from sciddm.data_adapters.mri import open_kspace

    return open_kspace(path)


_READER = Source(
    _open,
    READ,
    "Scans, or a folder of them.",
    # A folder of slices is an output that another may take the place of.
    is_item=deferred("sciddm.data_adapters.dicom_files:is_dicom_item"),
    item="DICOM series",
)

reconstruct = Transform(
    Reconstruct,
    source=_READER,
    compute=_reconstructed,
    target=Target(
        _image_outputs, _save_image, IMAGES, _OUT,
        formats=("nii.gz", "nii", "h5", "nc", "zarr", "cfl", "dicom"),
        series=_series,
        check=_check,
    ),
    facts=deferred("sciddm.pipelines.mri.describe:image_facts"),
    page=deferred("sciddm.pipelines.mri.page:mri_page"),
    prepare=lambda request: load_pipeline(request.model),
    estimate="reconstruction",
)  # fmt: skip
undersample = Transform(
    Undersample,
    source=_READER,
    compute=_undersampled,
    target=Target[Undersample](_raw_outputs, _save_raw, KSPACES, formats=_RAW_FORMATS),
    facts=deferred("sciddm.pipelines.mri.describe:kspace_facts"),
    estimate="kspace",
)
acquire = Transform(
    Acquire,
    source=_READER,
    compute=_acquired,
    target=Target[Acquire](_raw_outputs, _save_raw, KSPACES, formats=_RAW_FORMATS),
    facts=deferred("sciddm.pipelines.mri.describe:acquisition_facts"),
    prepare=lambda request: load_pipeline(request.model),
    estimate="kspace",
)
evaluate = Comparison(
    Evaluate,
    open=_open_compared,
    items=_images_in,
    compare=_compare,
    columns={
        "psnr_volume_db": ("PSNR / dB", "{:.2f}"),
        "ssim_volume": ("SSIM", "{:.3f}"),
        "nmse_volume": ("NMSE", "{:.4f}"),
        "coverage_90": ("90 % interval holds", "{:.3f}"),
    },
    kind="image",
)
DOMAIN = Domain(
    "mri",
    "MRI: images from multi-coil raw data.",
    (reconstruct, undersample, acquire, evaluate),
    Demo(
        reconstruct,
        deferred("sciddm.pipelines.mri.demo:simulate"),
        "a head of 256 x 224 seen by 8 coils at 30 dB, of which every 4th line is kept",
    ),
    _recognises,
    _open_any,
)


def __dir__() -> list[str]:
    return __all__
