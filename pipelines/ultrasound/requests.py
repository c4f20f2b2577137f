"""The verbs of ultrasound: ``sciddm ultrasound`` on the command line, ``sciddm.ultrasound``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from sciddm.errors import OptionError
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.domain import Demo, Domain, Example
from sciddm.pipelines.engine.option import Option, Quality, Seed
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Saving, Target
from sciddm.pipelines.engine.verb import Transform

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.pipelines.engine.report.page import Report
    from sciddm.pipelines.engine.scores import Score
    from sciddm.pipelines.engine.summary import Fact
    from sciddm.pipelines.ultrasound.pipeline import UltrasoundDehazing
    from sciddm.pipelines.ultrasound.simulate import Wanted

__all__ = ["beamform", "dehaze", "evaluate", "simulate"]

_SHOWN = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".mp4", ".avi", ".mov")
READ = (".h5", ".hdf5", ".uff", ".npz", ".dcm", ".mha", *_SHOWN)
WRITTEN = (".h5", ".hdf5", ".npz", ".dcm", *_SHOWN)
CHANNELS = (".npz", ".uff", ".h5", ".hdf5")
_FORMS = ("h5", "npz", "dcm", "png", "gif", "tif")
_STATED = ("fs", "fc", "c", "kind", "axes", "pitch")
_ONE_H5 = "The .h5 file."

Sampling = Annotated[float | None, Option("Sampling frequency along depth, Hz.", gt=0)]
Carrier = Annotated[float | None, Option("Carrier or centre frequency, Hz.", gt=0)]
Speed = Annotated[float | None, Option("Speed of sound, m/s [1540].", gt=0)]
Pitch = Annotated[float | None, Option("Distance of lines or elements, m.", gt=0)]
Axes = Annotated[str | None, Option("Order of a .npz array's axes, 'lateral depth', say.")]


class Dehaze(Request):
    """Separate tissue from haze in RF, IQ, envelope and B-mode frames.

    OUT.h5 holds the tissue, what was taken away, the standard deviation and the scan as it was;
    beside it lies a JSON file with all that repeats the run. A scan without evidence of haze is
    returned unchanged. A clip that was stopped goes on with its next frame when the command is run
    again.
    """

    gamma: Annotated[
        float | None,
        Option(
            "How much haze may explain: 0 nothing, 1 what its model expects [1, or 0 for scans "
            "without evidence of haze].",
            ge=0,
            le=10,
        ),
    ] = None
    quality: Quality = "balanced"
    guidance: Annotated[
        Literal["mmps", "pigdm", "dps"] | None,
        Option("Likelihood step; the quality decides if not given."),
    ] = None
    samples: Annotated[
        int | None,
        Option("Posterior samples, an even number; the quality decides if not given.", ge=2),
    ] = None
    seed: Seed = 0
    tissue_model: Annotated[
        str | None, Option("Model: name, folder or hub:OWNER/NAME; the bundled one if not given.")
    ] = None
    haze_model: Annotated[
        str | None, Option("Model: name, folder or hub:OWNER/NAME; the bundled one if not given.")
    ] = None
    fs: Sampling = None
    fc: Carrier = None
    c: Speed = None
    pitch: Pitch = None
    kind: Annotated[
        Literal["rf", "iq", "envelope", "bmode"] | None,
        Option("What the array of a .npz file holds."),
    ] = None
    axes: Axes = None
    range_db: Annotated[
        float | None, Option("Dynamic range of B-mode images, dB [the file's, or 60].", gt=0)
    ] = None

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
    t0: Annotated[float | None, Option("Time of the first sample, s.")] = None
    axes: Axes = None
    depth: Annotated[
        str | None, Option("First and last depth in mm, 5-45, say.", metavar="MM-MM")
    ] = None
    lines: Annotated[int | None, Option("Lines of the image.", ge=2)] = None
    sector: Annotated[
        float | None,
        Option(
            "Half the opening angle of a sector, degrees; 0 for parallel lines [by the array].",
            ge=0,
            le=80,
        ),
    ] = None
    f_number: Annotated[float, Option("Of the receiving aperture; 0 for all elements.", ge=0)] = 1.5

    @property
    def depth_mm(self) -> tuple[float, float] | None:
        """First and last depth."""
        if self.depth is None:
            return None
        first, last = (float(part) for part in self.depth.split("-"))
        return first, last

    def check(self) -> None:
        try:
            _ = self.depth_mm
        except ValueError as error:
            problem = f"{self.depth} is given, take two numbers in mm, such as 5-45"
            raise OptionError("depth", problem) from error


class Simulate(Request):
    """Make a scan with known tissue and known haze."""

    clean: Annotated[Path | None, Option("Write the scan without haze too.", incidental=True)] = (
        None
    )
    view: Annotated[
        Literal["four-chamber", "short-axis", "long-axis", "phantom", "muscle"],
        Option("What is scanned."),
    ] = "four-chamber"
    frames: Annotated[int, Option("Frames of one heart beat.", ge=1)] = 1
    depth: Annotated[int, Option("Samples along depth.", ge=64)] = 1024
    lines: Annotated[int, Option("Lines.", ge=16)] = 128
    iq: Annotated[bool, Option("Baseband in place of RF.")] = False
    fc: Annotated[float, Option("Carrier, Hz.", ge=1)] = 2.5e6
    haze_db: Annotated[float | None, Option("Diffuse haze, dB of full scale.")] = -24.0
    seed: Seed = 0

    def check(self) -> None:
        if self.clean is not None and self.clean.suffix.lower() != ".h5":
            raise OptionError("clean", f"{self.clean}: simulated scans are written as .h5: rename")

    def wanted(self) -> Wanted:
        """The scan in the simulation's own terms."""
        from sciddm.pipelines.ultrasound.simulate import Wanted

        return Wanted(
            depth=self.depth,
            lines=self.lines,
            frames=self.frames,
            view=self.view,
            kind="iq" if self.iq else "rf",
            fc=self.fc,
            haze_db=self.haze_db,
            seed=self.seed,
        )


class Evaluate(Request):
    """Measure gCNR and CNR between tissue and blood, and PSNR and KS against a clean scan."""

    roi: Annotated[
        tuple[str, ...],
        Option(
            "tissue:Z0-Z1,X0-X1 or blood:Z0-Z1,X0-X1 (samples, lines); or a .npz file with masks "
            "tissue and blood.",
            metavar="ROI",
        ),
    ] = ()


@lru_cache(maxsize=1)
def load_pipeline(tissue: str | None, haze: str | None) -> UltrasoundDehazing:
    """The pipeline with these models, None for the bundled ones; read once for a batch."""
    from sciddm.pipelines.ultrasound.pipeline import UltrasoundDehazing

    return UltrasoundDehazing(tissue, haze)


# Dehazing ---------------------------------------------------------------------------------------


def _open(path: Path, request: Dehaze) -> xr.Dataset:
    from sciddm.data_adapters.ultrasound import open_frames

    return open_frames(path, {k: getattr(request, k) for k in _STATED})


def _dehazed(scan: xr.Dataset, request: Dehaze, context: Context) -> xr.Dataset:
    if context.target is not None:
        from sciddm.data_adapters.ultrasound.result import check_format

        check_format(scan, context.target)
    context.progress(0, 1, "loading the models")
    pipeline = load_pipeline(request.tissue_model, request.haze_model)
    store = None
    if scan.sizes.get("frame", 1) > 1:
        models = pipeline.load(scan.attrs["kind"])
        store = context.unfinished(
            weights=[models.tissue.weights_sha256, models.haze.weights_sha256]
        )
    return pipeline(
        scan,
        quality=request.quality,
        gamma=request.gamma,
        guidance=request.guidance,
        samples=request.samples,
        seed=request.seed,
        range_db=request.range_db,
        store=store,
        progress=context.progress,
    )


def _outputs(path: Path, request: Dehaze) -> Sequence[Path]:
    from sciddm.data_adapters.ultrasound.result import dehazed_outputs

    return dehazed_outputs(path)


def _save(result: xr.Dataset, path: Path, saving: Saving[Dehaze]) -> None:
    from sciddm.data_adapters.ultrasound.result import write_dehazed

    write_dehazed(result, path, saving.at, source=saving.source)


def _facts(result: xr.Dataset) -> Iterable[Fact]:
    from sciddm.pipelines.ultrasound.describe import facts

    return facts(result).values()


def _page(scan: xr.Dataset, result: xr.Dataset) -> Report:
    from sciddm.pipelines.ultrasound.page import ultrasound_report

    return ultrasound_report(result)


def _is_clip(folder: Path) -> bool:
    from sciddm.data_adapters.ultrasound import is_clip_folder

    return is_clip_folder(folder)


# Beamforming and simulation ---------------------------------------------------------------------


def _open_channels(path: Path, request: Beamform) -> xr.Dataset:
    from sciddm.data_adapters.ultrasound.channels import open_channels

    names = ("fs", "fc", "c", "pitch", "t0", "axes")
    return open_channels(path, {k: getattr(request, k) for k in names})


def _beamformed(data: xr.Dataset, request: Beamform, context: Context) -> xr.Dataset:
    from sciddm.pipelines.ultrasound.beamform import beamform

    return beamform(
        data,
        depth_mm=request.depth_mm,
        lines=request.lines,
        sector_deg=request.sector,
        f_number=request.f_number,
        progress=context.progress,
    )


def _simulated(data: None, request: Simulate, context: Context) -> xr.Dataset:
    from sciddm.pipelines.ultrasound.simulate import simulate_scan

    hazy, clean = simulate_scan(request.wanted())
    truth = clean.rename(frames="clean")
    return hazy.assign({str(name): truth[name] for name in truth.data_vars})


def _outputs_h5(path: Path, request: Beamform) -> Sequence[Path]:
    return [path, path.with_suffix(".json")]


def _outputs_simulated(path: Path, request: Simulate) -> Sequence[Path]:
    more = [] if request.clean is None else [request.clean]
    return [path, *more, path.with_suffix(".json")]


def _save_h5(result: xr.Dataset, path: Path, saving: Saving[Any]) -> None:
    import sciddm
    from sciddm.data_adapters.attributes import sidecar
    from sciddm.data_adapters.ultrasound.files import write_frames

    write_frames(result, saving.at[path])
    about = sidecar(result.attrs, "frames", sciddm.__version__)
    saving.at[path.with_suffix(".json")].write_text(about, encoding="utf-8")


def _save_simulated(result: xr.Dataset, path: Path, saving: Saving[Simulate]) -> None:
    from sciddm.data_adapters.ultrasound.files import write_frames

    truth = [n for n in result.data_vars if n != "frames"]
    _save_h5(result.drop_vars(truth), path, saving)
    if saving.request.clean is not None:
        clean = result.drop_vars("frames").rename(clean="frames")
        write_frames(clean, saving.at[saving.request.clean])


def _facts_beamformed(result: xr.Dataset) -> Iterable[Fact]:
    from sciddm.pipelines.ultrasound.describe import beamforming_facts

    return beamforming_facts(result)


def _facts_simulated(result: xr.Dataset) -> Iterable[Fact]:
    from sciddm.pipelines.ultrasound.describe import simulation_facts

    return simulation_facts(result)


# Evaluation and demo ----------------------------------------------------------------------------


def _open_compared(path: Path, request: Evaluate) -> xr.Dataset:
    from sciddm.data_adapters.ultrasound import open_frames

    return open_frames(path)


def _scans_in(path: Path) -> tuple[Mapping[str, Path], bool]:
    from sciddm.pipelines.engine.batch import stem

    if not path.is_dir():
        return {stem(path, READ): path}, False
    found = sorted(p for p in path.iterdir() if p.name.lower().endswith(READ))
    return {stem(p, READ): p for p in found if not p.name.startswith(".")}, True


def _compare(
    reference: xr.Dataset | None, estimate: xr.Dataset, score: Score, request: Evaluate
) -> None:
    from sciddm.pipelines.ultrasound.evaluate import measure

    if reference is None and not request.roi:
        raise OptionError("roi", "is missing: two regions, or a clean scan to measure against")
    measure(estimate, reference, score, request.roi)


def _example(folder: Path) -> Example:
    from sciddm.pipelines.ultrasound.demo import simulated_example

    return simulated_example(folder)


def _recognises(path: Path) -> bool:
    from sciddm.data_adapters.ultrasound.files import is_ultrasound

    return is_ultrasound(path)


def _open_any(path: Path) -> xr.Dataset:
    from sciddm.data_adapters.ultrasound import open_frames

    return open_frames(path)


dehaze = Transform(
    Dehaze,
    source=Source(
        _open,
        READ,
        "Scans, or folders; one of pictures is a clip.",
        is_item=_is_clip,
        item="clip of pictures",
    ),
    compute=_dehazed,
    target=Target(_outputs, _save, WRITTEN, formats=_FORMS),
    facts=_facts,
    page=_page,
    estimate="frames",
)
beamform = Transform(
    Beamform,
    source=Source(_open_channels, CHANNELS, "Channel data: .npz, UFF or zea."),
    compute=_beamformed,
    target=Target(_outputs_h5, _save_h5, (".h5",)),
    facts=_facts_beamformed,
    estimate="frames",
)
simulate = Transform(
    Simulate,
    source=None,
    compute=_simulated,
    target=Target(_outputs_simulated, _save_simulated, (".h5",), _ONE_H5, single=True),
    facts=_facts_simulated,
    estimate="frames",
)
evaluate = Comparison(
    Evaluate,
    open=_open_compared,
    items=_scans_in,
    compare=_compare,
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
    Demo(dehaze, _example, "4 frames of a heart behind haze"),
    _recognises,
    _open_any,
)


def __dir__() -> list[str]:
    return __all__
