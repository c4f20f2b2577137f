"""The verbs of ultrasound: ``sciddm ultrasound`` on the command line, ``sciddm.ultrasound``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from sciddm.errors import OptionError
from sciddm.pipelines.engine.calls import on_data, on_path, on_result
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.deferred import deferred
from sciddm.pipelines.engine.domain import Demo, Domain
from sciddm.pipelines.engine.option import Option, Quality, Seed, option, two_numbers
from sciddm.pipelines.engine.request import JudgedRequest, Request, SamplerRequest
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Target
from sciddm.pipelines.engine.verb import Transform

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["beamform", "dehaze", "evaluate", "simulate"]

_P, _FILES = "sciddm.pipelines.ultrasound", "sciddm.data_adapters.ultrasound"
_SHOWN = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".mp4", ".avi", ".mov")
READ = (".h5", ".hdf5", ".uff", ".npz", ".dcm", ".mha", *_SHOWN)
WRITTEN = (".h5", ".hdf5", ".npz", ".dcm", *_SHOWN)
CHANNELS = (".npz", ".uff", ".h5", ".hdf5")
_STATED = ("fs", "fc", "c", "pitch", "axes")

Sampling = Annotated[float | None, Option("Sampling frequency along depth, Hz.", gt=0)]
Carrier = Annotated[float | None, Option("Carrier or centre frequency, Hz.", gt=0)]
Speed = Annotated[float | None, Option("Speed of sound, m/s [1540].", gt=0)]
Pitch = Annotated[float | None, Option("Distance of lines or elements, m.", gt=0)]
Axes = Annotated[str | None, Option("Order of a .npz array's axes, 'lateral depth', say.")]

Bundled = Annotated[
    str | None, Option("Model: name, folder or hub:OWNER/NAME; the bundled one if not given.")
]


class Dehaze(JudgedRequest, SamplerRequest):
    """Separate tissue from haze in RF, IQ, envelope and B-mode frames.

    OUT.h5 holds the tissue, what was taken away, the standard deviation and the scan as it was;
    beside it lies a JSON file with all that repeats the run. A scan without evidence of haze is
    returned unchanged. A clip that was stopped goes on with its next frame when the command is run
    again.
    """

    gamma: float | None = option(
        None,
        "How much haze may explain: 0 nothing, 1 what its model expects [1, or 0 for scans "
        "without evidence of haze].",
        ge=0,
        le=10,
    )
    quality: Quality = "balanced"
    guidance: Literal["mmps", "pigdm", "dps"] | None = option(
        None, "Likelihood step; the quality decides if not given."
    )
    samples: int | None = option(
        None, "Posterior samples, an even number; the quality decides if not given.", ge=2
    )
    seed: Seed = 0
    tissue_model: Bundled = None
    haze_model: Bundled = None
    fs: Sampling = None
    fc: Carrier = None
    c: Speed = None
    pitch: Pitch = None
    kind: Literal["rf", "iq", "envelope", "bmode"] | None = option(
        None, "What the array of a .npz file holds."
    )
    axes: Axes = None
    range_db: float | None = option(
        None, "Dynamic range of B-mode images, dB [the file's, or 60].", gt=0
    )

    def check(self) -> None:
        if (self.tissue_model is None) != (self.haze_model is None):
            raise OptionError(
                "haze_model", "models of tissue and of haze belong together: give both or none"
            )
        if self.samples is not None and self.samples % 2:
            raise OptionError("samples", f"{self.samples} are given, they come in pairs: 2, 4 ...")


class Beamform(Request):
    """Make IQ frames of channel data by delay and sum: plane, diverging and focused waves."""

    fs: Sampling = None
    fc: Carrier = None
    c: Speed = None
    pitch: Pitch = None
    t0: float | None = option(None, "Time of the first sample, s.")
    axes: Axes = None
    depth: str | None = option(None, "First and last depth in mm, 5-45, say.", metavar="MM-MM")
    lines: int | None = option(None, "Lines of the image.", ge=2)
    sector: float | None = option(
        None,
        "Half the opening angle of a sector, degrees; 0 for parallel lines [by the array].",
        ge=0,
        le=80,
    )
    f_number: float = option(1.5, "F-number of the receive aperture; 0 for all elements.", ge=0)

    @property
    def depth_mm(self) -> tuple[float, float] | None:
        """First and last depth."""
        if self.depth is None:
            return None
        return two_numbers("depth", self.depth, "-", float, "two numbers in mm, such as 5-45")

    def check(self) -> None:
        _ = self.depth_mm


class Simulate(Request):
    """Make a scan with known tissue and known haze."""

    clean: Path | None = option(None, "Write the scan without haze too.", incidental=True)
    view: Literal["four-chamber", "short-axis", "long-axis", "phantom", "muscle"] = option(
        "four-chamber", "What is scanned."
    )
    frames: int = option(1, "Frames of one heart beat.", ge=1)
    depth: int = option(1024, "Samples along depth.", ge=64)
    lines: int = option(128, "Lines.", ge=16)
    iq: bool = option(False, "Baseband in place of RF.")
    fc: float = option(2.5e6, "Carrier, Hz.", ge=1)
    haze_db: float | None = option(-24.0, "Diffuse haze, dB of full scale.")
    seed: Seed = 0

    def check(self) -> None:
        if self.clean is not None and self.clean.suffix.lower() != ".h5":
            raise OptionError("clean", f"{self.clean}: simulated scans are written as .h5: rename")


class Evaluate(Request):
    """Measure gCNR and CNR between tissue and blood, and PSNR and KS against a clean scan."""

    roi: tuple[str, ...] = option(
        (),
        "tissue:Z0-Z1,X0-X1 or blood:Z0-Z1,X0-X1 (samples, lines); or a .npz file with masks "
        "tissue and blood.",
        metavar="ROI",
    )


load_pipeline = lru_cache(maxsize=1)(deferred(f"{_P}.pipeline:UltrasoundDehazing"))
_open_frames = deferred(f"{_FILES}:open_frames")
_open_channels = deferred(f"{_FILES}.channels:open_channels")


def _dehazed(scan: xr.Dataset, request: Dehaze, context: Context) -> xr.Dataset:
    context.progress(0, 1, "loading the models")
    pipeline = load_pipeline(request.tissue_model, request.haze_model)
    store = None
    if scan.sizes.get("frame", 1) > 1:
        models = pipeline.load(scan.attrs["kind"])
        store = context.unfinished(
            weights=[models.tissue.weights_sha256, models.haze.weights_sha256]
        )
    options = request.without("tissue_model", "haze_model", "kind", *_STATED)
    result: xr.Dataset = pipeline(scan, **options, store=store, progress=context.progress)
    return result


def _simulated(data: None, request: Simulate, context: Context) -> xr.Dataset:
    from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan

    kind = "iq" if request.iq else "rf"
    hazy, clean = simulate_scan(Wanted(kind=kind, **request.without("clean", "iq")))
    truth = clean.rename(frames="clean")
    return hazy.assign({str(name): truth[name] for name in truth.data_vars})


dehaze = Transform(
    Dehaze,
    source=Source(
        lambda path, request: _open_frames(path, request.values("kind", *_STATED)),
        READ,
        "Scans, or folders; one of pictures is a clip.",
        is_item=deferred(f"{_FILES}:is_clip_folder"),
        item="clip of pictures",
    ),
    compute=_dehazed,
    target=Target(
        on_path(f"{_FILES}.result:dehazed_outputs"),
        on_result(f"{_FILES}.result:write_dehazed", source="source"),
        WRITTEN,
        formats=("h5", "npz", "dcm", "png", "gif", "tif"),
        fits=deferred(f"{_FILES}.result:check_format"),
    ),
    facts=deferred(f"{_P}.describe:facts"),
    page=deferred(f"{_P}.page:ultrasound_page"),
    estimate="frames",
)
beamform = Transform(
    Beamform,
    source=Source(
        lambda path, request: _open_channels(path, request.values("t0", *_STATED)),
        CHANNELS,
        "Channel data: .npz, UFF or zea.",
    ),
    compute=on_data(
        f"{_P}.beamform:beamform", "depth_mm", "lines", "f_number", sector_deg="sector"
    ),
    target=Target(
        on_path(f"{_FILES}.result:scan_outputs"), on_result(f"{_FILES}.result:write_scan"), (".h5",)
    ),
    facts=deferred(f"{_P}.describe:beamforming_facts"),
    estimate="frames",
)
simulate = Transform(
    Simulate,
    source=None,
    compute=_simulated,
    target=Target(
        on_path(f"{_FILES}.result:scan_outputs", "clean"),
        on_result(f"{_FILES}.result:write_scan", "clean"),
        (".h5",),
        "The .h5 file.",
        single=True,
    ),
    facts=deferred(f"{_P}.describe:simulation_facts"),
    estimate="frames",
)
evaluate = Comparison(
    Evaluate,
    source=Source(on_path(f"{_FILES}:open_frames"), READ),
    compare=deferred(f"{_P}.evaluate:compare"),
    columns={
        "psnr_db": ("PSNR / dB", "{:.2f}"),
        "gcnr": ("gCNR", "{:.3f}"),
        "gcnr_clean": ("gCNR clean", "{:.3f}"),
        "cnr": ("CNR", "{:.3f}"),
        "cnr_db": ("CNR / dB", "{:.2f}"),
        "ks_tissue": ("KS tissue", "{:.3f}"),
        "ks_blood": ("KS blood", "{:.3f}"),
        "haze_correlation": ("haze corr.", "{:.3f}"),
    },
    kind="scan",
    flags=("--clean", "--dehazed"),
    needs_reference=False,
)
DOMAIN = Domain(
    "ultrasound",
    "Ultrasound: scans without haze.",
    (dehaze, beamform, simulate, evaluate),
    Demo(dehaze, deferred(f"{_P}.demo:simulate"), "4 frames of a heart behind haze"),
    deferred(f"{_FILES}.files:is_ultrasound"),
    _open_frames,
)
__dir__ = DOMAIN.names
