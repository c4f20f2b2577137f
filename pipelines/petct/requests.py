"""The verbs of PET/CT: ``sciddm petct`` on the command line, ``sciddm.petct`` in Python."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

import xarray as xr

from sciddm.errors import OptionError
from sciddm.pipelines.engine.calls import on_path, on_result
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.deferred import deferred
from sciddm.pipelines.engine.domain import Demo, Domain
from sciddm.pipelines.engine.option import Model, Option, Quality, Seed, option
from sciddm.pipelines.engine.request import JudgedRequest, Request, SamplerRequest
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Target
from sciddm.pipelines.engine.verb import Transform

__all__ = ["evaluate", "segment", "suv"]

VOLUMES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr")
WRITTEN = (".nii.gz", ".nii", ".mha", ".nrrd")
_SERIES = "DICOM series"
_RESULT = "sciddm.data_adapters.petct.result"
_READING = ("pet_series", "weight_kg", "dose_mbq")
_is_series = deferred("sciddm.data_adapters.dicom_files:is_dicom_item")
_check_volume = deferred("sciddm.data_adapters.volume_files:check_volume")
_open_ct = deferred("sciddm.data_adapters.petct.images:open_ct_of")
_open_pet = on_path(
    "sciddm.data_adapters.petct.images:open_pet", "weight_kg", "dose_mbq", series="pet_series"
)

PetSeries = Annotated[
    str | None, Option("The PET where a folder holds several: UID, number or description.")
]
Weight = Annotated[float | None, Option("Patient weight / kg. Default: from the header.", gt=0)]
Dose = Annotated[float | None, Option("Injected dose / MBq. Default: from the header.", gt=0)]


class Segment(JudgedRequest, SamplerRequest):
    """Mark tumours in a study.

    OUT lies on the voxels of the CT. Beside it lie the probability and its entropy, a table of the
    lesions (SUVmax, SUVmean, SUVpeak, MTV, TLG), a DICOM-SEG if the CT is DICOM, and a JSON file
    with all that repeats the run. PET and CT may lie in one folder.

    The bundled model knows crops round a tumour: name the region to search in a larger study.
    """

    ct: Annotated[
        Path | xr.DataArray,
        Option("DICOM series (folder), or a volume (NIfTI, MetaImage, NRRD) in HU."),
    ]
    model: Model = "petct-sarcoma"
    quality: Quality = "balanced"
    samples: int | None = option(
        None, "Number of posterior samples. Default: from the quality.", ge=1
    )
    threshold: float = option(0.5, "Voxels of at least this probability are tumour.", gt=0, lt=1)
    seed: Seed = 0
    roi: str | xr.DataArray | None = option(
        None, "Where to search: x0,x1,y0,y1,z0,z1 in mm (RAS), or the file of a mask."
    )
    point: tuple[float, float, float] | None = option(
        None, "A point of the tumour, x y z in mm (RAS): a crop about it is searched."
    )
    anywhere: bool = option(
        False, "Search a field of view that is larger than the model knows, too."
    )
    pet_series: PetSeries = None
    ct_series: str | None = option(
        None, "The CT where a folder holds several: UID, number or description."
    )
    weight_kg: Weight = None
    dose_mbq: Dose = None
    rtstruct: bool = option(False, "Also write contours as RTSTRUCT. The CT must be DICOM.")

    @property
    def dicom(self) -> Path | None:
        """The CT where it is a DICOM series on disk."""
        from sciddm.data_adapters.petct.result import is_dicom

        return self.ct if isinstance(self.ct, Path) and is_dicom(self.ct) else None

    def check(self) -> None:
        if isinstance(self.ct, Path) and not self.ct.exists():
            raise OptionError("ct", f"{self.ct}: no such file or folder: check the name")
        if self.rtstruct and self.dicom is None:
            raise OptionError("rtstruct", f"{self.ct}: contours are written over a DICOM series")
        if self.roi is not None and self.point is not None:
            raise OptionError("point", "a region is given too, take one of them")


class Suv(Request):
    """Convert PET to SUV normalised by body weight."""

    pet_series: PetSeries = None
    weight_kg: Weight = None
    dose_mbq: Dose = None


class Evaluate(Request):
    """Measure masks: Dice, HD95, surface Dice, precision, recall, volume, and DSCagg over all.

    An empty mask against one that is not has Dice 0 and an infinite HD95; two empty ones have
    Dice 1 and HD95 0.
    """

    tolerance_mm: float = option(3.0, "Tolerance of the surface Dice / mm.", gt=0)


load_pipeline = lru_cache(maxsize=1)(
    deferred("sciddm.pipelines.petct.pipeline:TumourSegmentation.from_pretrained")
)


def _files(path: Path, request: Segment) -> list[Path]:
    return [path, *([request.ct] if isinstance(request.ct, Path) else [])]


def _segment(pet: xr.DataArray, request: Segment, context: Context) -> xr.Dataset:
    ct = request.ct
    if isinstance(ct, Path):
        context.source = f"{context.source} and {ct.name}"
        ct = _open_ct(ct, request.ct_series)
    _check_volume(ct, context.target)
    context.progress(0, 1, "loading the model")
    options = request.without("ct", "model", *_READING, "ct_series", "rtstruct")
    result: xr.Dataset = load_pipeline(request.model)(pet, ct, **options, progress=context.progress)
    return result.assign_attrs(ct_series=ct.attrs.get("series") or request.ct_series or "")


def _suv(volume: xr.DataArray, request: Suv, context: Context) -> xr.Dataset:
    return xr.Dataset({"suv": volume}, attrs=volume.attrs)


segment = Transform(
    Segment,
    source=Source(
        _open_pet, VOLUMES, "PET: DICOM series (folder), NIfTI, MetaImage or NRRD in SUV.",
        is_item=_is_series, item=_SERIES, files=_files, option="--pet",
    ),
    compute=_segment,
    target=Target(
        on_path(f"{_RESULT}:segmentation_outputs", "rtstruct", "roi", "point", ct="dicom"),
        on_result(
            f"{_RESULT}:save_segmentation", "pet_series", "rtstruct", ct="dicom", source="pet"
        ),
        WRITTEN,
        "The mask: .nii.gz, .mha or .nrrd.",
    ),
    facts=deferred("sciddm.pipelines.petct.describe:segmentation_facts"),
    page=deferred("sciddm.pipelines.petct.page:segmentation_page"),
    prepare=lambda request: load_pipeline(request.model),
    estimate="mask",
)  # fmt: skip
suv = Transform(
    Suv,
    source=Source(
        _open_pet, VOLUMES, "DICOM series of PET, or a folder of them.",
        is_item=_is_series, item=_SERIES,
    ),
    compute=_suv,
    target=Target(
        on_path(f"{_RESULT}:suv_outputs"),
        on_result(f"{_RESULT}:save_suv"),
        WRITTEN,
        ".nii.gz, .mha, .nrrd; a folder for several.",
        fits=_check_volume,
    ),
    facts=deferred("sciddm.pipelines.petct.describe:suv_facts"),
    estimate="suv",
)  # fmt: skip
evaluate = Comparison(
    Evaluate,
    source=Source(on_path("sciddm.pipelines.petct.comparison:read_mask"), VOLUMES),
    compare=deferred("sciddm.pipelines.petct.comparison:compare"),
    columns={
        "dice": ("Dice", "{:.3f}"),
        "hd95_mm": ("HD95 / mm", "{:.1f}"),
        "surface_dice": ("surface Dice", "{:.3f}"),
        "precision": ("precision", "{:.3f}"),
        "recall": ("recall", "{:.3f}"),
        "volume_ml": ("volume / ml", "{:.1f}"),
        "volume_error": ("volume error", "{:+.1%}"),
    },
    judges_input=False,
    kind="mask",
    beside=("_probability", "_entropy", "_flags"),
    overall=deferred("sciddm.pipelines.petct.comparison:over_all"),
)


DOMAIN = Domain(
    "petct",
    "PET/CT: tumour segmentation, SUV.",
    (segment, suv, evaluate),
    demo=Demo(
        segment,
        deferred("sciddm.pipelines.petct.demo:simulate"),
        "a study of a thigh with a tumour",
    ),
    recognises=deferred("sciddm.data_adapters.dicom_modality:is_pet"),
    open=deferred("sciddm.data_adapters.petct.images:open_pet"),
)
__dir__ = DOMAIN.names
