"""Sinograms in HDF5.

    /sinogram           (z, view, cell) or (view, cell), floating point: line integrals
                        p = -log(N / I0), without unit
    /geometry           group with the attributes
        beam                "parallel" or "fan"
        pitch_mm            distance of neighbouring cells on the detector
        offset_mm           the detector's middle from the central ray, along it; 0 if not there
        detector            "flat" or "equiangular"; fan only, as the next two
        source_axis_mm      from the source to the axis of rotation
        source_detector_mm  from the source to the detector
    /geometry/angles    (view,), attribute `units`: "rad" (if not there) or "deg"
    /incident_flux      scalar or (cell,): I0, quanta per reading; may be left out
    /z                  (z,), mm: position of every slice; may be left out
    root attributes     electronic_sd, in quanta, may be left out; sciddm_kind "sinogram" and
                        sciddm_layout 1 in files that sciddm wrote
    /sciddm_attrs       further attributes as JSON (see `attributes`), in files that sciddm wrote

Angles, their direction and the numbering of cells are as in `sciddm.physics.beams`. In xarray the
geometry is in the attributes, and the angles, in radians, are the coordinate of `view`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import xarray as xr

from sciddm.data_adapters.attributes import decode, encode
from sciddm.data_adapters.checks import check_finite, existing_file, reading
from sciddm.data_adapters.hdf5 import (
    ATTRS,
    names_in,
    new_hdf5,
    open_hdf5,
    read_array,
    read_text,
    text_of,
)
from sciddm.data_adapters.isolation import isolated
from sciddm.data_adapters.staging import staged
from sciddm.errors import InputError

if TYPE_CHECKING:
    from sciddm.physics import Beam

__all__ = ["beam_of", "build_sinogram", "read_sinogram", "save_sinogram"]

_LAYOUT = 1
_TEXT = ("beam", "detector")
_NUMBERS = ("pitch_mm", "offset_mm", "source_axis_mm", "source_detector_mm")


def build_sinogram(
    values: Any,
    beam: Beam,
    *,
    incident_flux: Any = None,
    z_mm: Any = None,
    **attrs: Any,
) -> xr.Dataset:
    """A data set of a sinogram and its geometry.

    Args:
        values: (view, cell) or (z, view, cell).
        beam: its rays.
        incident_flux: I0, a number or (cell,).
        z_mm: (z,).
        attrs: others, such as electronic_sd.

    Returns:
        sinogram (z, view, cell) float32; incident_flux () or (cell,); coordinates view (radians)
        and z (mm).
    """
    from sciddm.physics import FanBeam  # here, since torch takes seconds to import

    values = np.asarray(values, np.float32)
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[1:] != (beam.views, beam.cells):
        raise ValueError(f"a sinogram of {values.shape} for {beam.views} views of {beam.cells}")
    variables: dict[str, Any] = {"sinogram": (("z", "view", "cell"), values)}
    if incident_flux is not None:
        flux = np.asarray(incident_flux, np.float64)
        variables["incident_flux"] = (("cell",)[: flux.ndim], flux)
    coordinates: dict[str, Any] = {"view": ("view", np.array(beam.angles), {"units": "rad"})}
    if z_mm is not None:
        coordinates["z"] = ("z", np.asarray(z_mm, np.float64), {"units": "mm"})
    geometry: dict[str, Any] = {
        "beam": "fan" if isinstance(beam, FanBeam) else "parallel",
        "pitch_mm": beam.pitch_mm,
        "offset_mm": beam.offset_mm,
    }
    if isinstance(beam, FanBeam):
        names = ("detector", "source_axis_mm", "source_detector_mm")
        geometry |= {name: getattr(beam, name) for name in names}
    return xr.Dataset(variables, coordinates, {**attrs, **geometry})


def beam_of(dataset: xr.Dataset) -> Beam:
    """The rays of a sinogram.

    Raises:
        InputError: attributes of the geometry are missing or impossible.
    """
    from sciddm.physics import FanBeam, ParallelBeam

    attrs = dataset.attrs
    name = attrs.get("source", "the sinogram")
    angles = tuple(float(a) for a in dataset["view"].values)
    cells = dataset.sizes["cell"]
    try:
        common = {"offset_mm": float(attrs.get("offset_mm", 0.0))}
        if attrs["beam"] == "parallel":
            return ParallelBeam(angles, cells, float(attrs["pitch_mm"]), **common)
        if attrs["beam"] == "fan":
            return FanBeam(
                angles,
                cells,
                float(attrs["pitch_mm"]),
                source_axis_mm=float(attrs["source_axis_mm"]),
                source_detector_mm=float(attrs["source_detector_mm"]),
                detector=attrs["detector"],
                **common,
            )
    except KeyError as error:
        raise InputError(f"{name}: the geometry lacks {error.args[0]}: add it") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: impossible geometry: {error}: correct it") from error
    raise InputError(f"{name}: its beam is {attrs['beam']!r}, not 'parallel' or 'fan': correct it")


def read_sinogram(source: str | Path) -> xr.Dataset:
    """Reads a sinogram in the layout above; see `build_sinogram` for what is returned.

    Raises:
        InputError: not there, damaged, another layout, NaN, or an impossible geometry.
    """
    path = existing_file(source)
    values, attrs, angles, others, more = _stored(path)
    values = np.asarray(values if values.ndim == 3 else values[None], np.float32)
    if angles.shape != values.shape[1:2]:
        raise InputError(
            f"{path}: {angles.shape} angles for {values.shape[1]} views: give one each"
        )
    flux = others.get("incident_flux")
    if flux is not None and (flux.shape not in ((), values.shape[2:]) or not (flux > 0).all()):
        raise InputError(
            f"{path}: incident_flux {flux.shape} is not one number above 0, or one per cell"
        )
    if "z" in others and others["z"].shape != values.shape[:1]:
        raise InputError(
            f"{path}: z has {others['z'].shape} positions for {values.shape[0]} slices"
        )
    if not 0 <= attrs.get("electronic_sd", 0.0) < math.inf:
        raise InputError(f"{path}: electronic_sd is {attrs['electronic_sd']}: it is 0 or above")
    bare = xr.Dataset(
        {"sinogram": (("z", "view", "cell"), values)}, {"view": angles}, {**more, **attrs}
    )
    beam = beam_of(bare)
    more |= {k: v for k, v in attrs.items() if k not in (*_TEXT, *_NUMBERS)}
    return build_sinogram(values, beam, incident_flux=flux, z_mm=others.get("z"), **more)


@isolated
def _stored(path: Path) -> tuple[Any, dict[str, Any], Any, dict[str, Any], dict[str, Any]]:
    """(sinogram, attributes of the geometry, angles in rad, flux and z, further attributes)."""
    with reading(path), open_hdf5(path) as file:
        geometry = file.get("geometry")
        if "sinogram" not in file or not isinstance(geometry, h5py.Group):
            raise InputError(
                f"{path}: no /sinogram with a group /geometry in it, but {names_in(file)}: write "
                "it as docs/formats.md has it"
            )
        values = read_array(file["sinogram"], path)
        if values.ndim not in (2, 3) or values.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: sinogram is {values.dtype} {values.shape}, not real (z, view, cell): "
                "reorder it"
            )
        check_finite(path, "sinogram", values)
        attrs: dict[str, Any] = {"source": path.name}
        attrs |= {k: text_of(geometry.attrs[k]) for k in _TEXT if k in geometry.attrs}
        attrs |= {k: float(np.asarray(geometry.attrs[k])) for k in _NUMBERS if k in geometry.attrs}
        if "angles" not in geometry:
            raise InputError(f"{path}: the geometry lacks angles: add /geometry/angles")
        angles = read_array(geometry["angles"], path)
        units = text_of(geometry["angles"].attrs.get("units", "rad"))
        if units not in ("rad", "deg"):
            raise InputError(f"{path}: angles are in {units!r}, not 'rad' or 'deg': convert them")
        others = {k: read_array(file[k], path) for k in ("incident_flux", "z") if k in file}
        for name, numbers in {"geometry/angles": angles, **others}.items():
            if numbers.dtype.kind not in "fiu" or not np.isfinite(numbers).all():
                raise InputError(f"{path}: {name} holds no finite numbers: write it again")
        if "electronic_sd" in file.attrs:
            attrs["electronic_sd"] = float(np.asarray(file.attrs["electronic_sd"]))
        more = decode(read_text(file, ATTRS, path)) if ATTRS in file else {}
    angles = np.asarray(angles, np.float64)
    return values, attrs, np.radians(angles) if units == "deg" else angles, others, more


def save_sinogram(dataset: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes what `build_sinogram` made in the layout above.

    Raises:
        InputError: no sinogram (z, view, cell) with its geometry.
        OutputError: the file exists or cannot be written.
    """
    path = Path(path)
    if "sinogram" not in dataset or set(dataset["sinogram"].dims) != {"z", "view", "cell"}:
        raise InputError(f"{path}: the data set has no sinogram (z, view, cell): add it")
    beam_of(dataset)
    attrs = dict(dataset.attrs)
    electronic = attrs.pop("electronic_sd", None)
    geometry = {k: attrs.pop(k) for k in (*_TEXT, *_NUMBERS) if k in attrs}
    with staged([path], overwrite) as at, new_hdf5(at[path]) as file:
        file.attrs["sciddm_kind"], file.attrs["sciddm_layout"] = "sinogram", _LAYOUT
        if electronic is not None:
            file.attrs["electronic_sd"] = float(electronic)
        values = dataset["sinogram"].transpose("z", "view", "cell").values
        file.create_dataset("sinogram", data=np.asarray(values, np.float32))
        group = file.create_group("geometry")
        for key, value in geometry.items():
            group.attrs[key] = value
        angles = group.create_dataset("angles", data=dataset["view"].values)
        angles.attrs["units"] = "rad"
        for name in ("incident_flux", "z"):
            if name in dataset.variables:
                file.create_dataset(name, data=dataset[name].values)
        file.create_dataset(ATTRS, data=encode(attrs), dtype=h5py.string_dtype())
