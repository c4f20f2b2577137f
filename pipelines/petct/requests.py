"""The verbs of PET/CT: ``sciddm petct`` on the command line, ``sciddm.petct`` in Python."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import xarray as xr

from sciddm.errors import OptionError
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
    from sciddm.pipelines.engine.scores import Score
    from sciddm.pipelines.petct.pipeline import TumourSegmentation

__all__ = ["DOMAIN", "evaluate", "segment", "suv"]

VOLUMES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr")
WRITTEN = (".nii.gz", ".nii", ".mha", ".nrrd")
_SERIES = "DICOM series"
_is_series = deferred("sciddm.data_adapters.dicom_files:is_dicom_item")
_simulate = deferred("sciddm.pipelines.petct.demo:simulate")

PetSeries = Annotated[
    str | None, Option("The PET where a folder holds several: UID, number or description.")
]
Weight = Annotated[float | None, Option("Patient weight / kg. Default: from the header.", gt=0)]
Dose = Annotated[float | None, Option("Injected dose / MBq. Default: from the header.", gt=0)]


class Segment(Request):
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
    samples: Annotated[
        int | None, Option("Number of posterior samples. Default: from the quality.", ge=1)
    ] = None
    threshold: Annotated[
        float, Option("Voxels of at least this probability are tumour.", gt=0, lt=1)
    ] = 0.5
    seed: Seed = 0
    roi: Annotated[
        str | xr.DataArray | None,
        Option("Where to search: x0,x1,y0,y1,z0,z1 in mm (RAS), or the file of a mask."),
    ] = None
    point: Annotated[
        tuple[float, float, float] | None,
        Option("A point of the tumour, x y z in mm (RAS): a crop about it is searched."),
    ] = None
    anywhere: Annotated[
        bool, Option("Search a field of view that is larger than the model knows, too.")
    ] = False
    pet_series: PetSeries = None
    ct_series: Annotated[
        str | None, Option("The CT where a folder holds several: UID, number or description.")
    ] = None
    weight_kg: Weight = None
    dose_mbq: Dose = None
    rtstruct: Annotated[bool, Option("Also write contours as RTSTRUCT. The CT must be DICOM.")] = (
        False
    )

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

    tolerance_mm: Annotated[float, Option("Tolerance of the surface Dice / mm.", gt=0)] = 3.0


@lru_cache(maxsize=1)
def load_pipeline(model: str) -> TumourSegmentation:
    """The pipeline of a model; read once for all studies of a batch."""
    from sciddm.pipelines.petct.pipeline import TumourSegmentation

    return TumourSegmentation.from_pretrained(model)


def _open_pet(path: Path, request: Segment | Suv) -> xr.DataArray:
    from sciddm.data_adapters.petct.images import open_pet

    return open_pet(
        path, request.pet_series, weight_kg=request.weight_kg, dose_mbq=request.dose_mbq
    )


def _files(path: Path, request: Segment) -> list[Path]:
    return [path, *([request.ct] if isinstance(request.ct, Path) else [])]


def _segment(pet: xr.DataArray, request: Segment, context: Context) -> xr.Dataset:
    from sciddm.data_adapters.petct.images import open_ct_of
    from sciddm.data_adapters.volume_files import check_place

    ct = request.ct
    if isinstance(ct, Path):
        context.source = f"{context.source} and {ct.name}"
        ct = open_ct_of(ct, request.ct_series)
    check_place(context.target, ct.attrs)
    context.progress(0, 1, "loading the model")
    result = load_pipeline(request.model)(
        pet,
        ct,
        quality=request.quality,
        samples=request.samples,
        threshold=request.threshold,
        seed=request.seed,
        roi=request.roi,
        point=request.point,
        anywhere=request.anywhere,
        progress=context.progress,
    )
    return result.assign_attrs(ct_series=ct.attrs.get("series") or request.ct_series or "")


def _segmentation_outputs(path: Path, request: Segment) -> list[Path]:
    from sciddm.data_adapters.petct.result import segmentation_outputs

    return segmentation_outputs(
        path,
        dicom=request.dicom is not None,
        rtstruct=request.rtstruct,
        region=request.roi is not None or request.point is not None,
    )


def _save_segmentation(result: xr.Dataset, path: Path, saving: Saving[Segment]) -> None:
    from sciddm.data_adapters.petct.result import save_segmentation

    save_segmentation(
        result,
        path,
        saving.at,
        ct=saving.request.dicom,
        series=result.attrs["ct_series"] or None,
        pet=saving.source,
        pet_series=saving.request.pet_series,
        rtstruct=saving.request.rtstruct,
    )


def _suv(volume: xr.DataArray, request: Suv, context: Context) -> xr.Dataset:
    from sciddm.data_adapters.volume_files import check_place

    check_place(context.target, volume.attrs)
    return xr.Dataset({"suv": volume}, attrs=volume.attrs)


def _suv_outputs(path: Path, request: Suv) -> list[Path]:
    from sciddm.data_adapters.petct.result import suv_outputs

    return suv_outputs(path)


def _save_suv(result: xr.Dataset, path: Path, saving: Saving[Suv]) -> None:
    from sciddm.data_adapters.petct.result import save_suv

    save_suv(result, path, saving.at)


def _open_mask(path: Path, request: Evaluate) -> xr.DataArray:
    from sciddm.pipelines.petct.comparison import read_mask

    return read_mask(path)


def _compare(
    reference: xr.DataArray | None, estimate: xr.DataArray, score: Score, request: Evaluate
) -> None:
    from sciddm.pipelines.petct.comparison import compare

    assert reference is not None
    compare(reference, estimate, score, request.tolerance_mm)


segment = Transform(
    Segment,
    source=Source(
        _open_pet, VOLUMES, "PET: DICOM series (folder), NIfTI, MetaImage or NRRD in SUV.",
        is_item=_is_series, item=_SERIES, files=_files, option="--pet",
    ),
    compute=_segment,
    target=Target(
        _segmentation_outputs, _save_segmentation, WRITTEN, "The mask: .nii.gz, .mha or .nrrd."
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
    target=Target(_suv_outputs, _save_suv, WRITTEN, ".nii.gz, .mha, .nrrd; a folder for several."),
    facts=deferred("sciddm.pipelines.petct.describe:suv_facts"),
    estimate="suv",
)  # fmt: skip
evaluate = Comparison(
    Evaluate,
    open=_open_mask,
    items=deferred("sciddm.pipelines.petct.comparison:masks_in"),
    compare=_compare,
    columns={
        "dice": ("Dice", "{:.3f}"),
        "hd95_mm": ("HD95 / mm", "{:.1f}"),
        "surface_dice": ("surface Dice", "{:.3f}"),
        "precision": ("precision", "{:.3f}"),
        "recall": ("recall", "{:.3f}"),
        "volume_ml": ("volume / ml", "{:.1f}"),
        "volume_error": ("volume error", "{:+.1%}"),
    },
    kind="mask",
    overall=deferred("sciddm.pipelines.petct.comparison:over_all"),
)


def _recognises(path: Path) -> bool:
    from sciddm.data_adapters.dicom_modality import modality_of

    return modality_of(path) == "PT"


def _open(path: Path) -> xr.DataArray:
    return _open_pet(path, Suv())


DOMAIN = Domain(
    "petct",
    "PET/CT: tumour segmentation, SUV.",
    (segment, suv, evaluate),
    demo=Demo(segment, _simulate, "a study of a thigh with a tumour"),
    recognises=_recognises,
    open=_open,
)


def __dir__() -> list[str]:
    return __all__
