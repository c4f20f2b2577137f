"""Any file of any domain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sciddm.errors import InputError
from sciddm.pipelines.domains import DOMAINS, declared, load_domain

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["domains_of", "open_any"]


def open_any(path: str | Path, domain: str | None = None) -> xr.Dataset | xr.DataArray:
    """Reads a measurement; the file says of which domain it is.

    Args:
        path: a file, or a folder that is one measurement (a DICOM series, a Zarr store).
        domain: mri, ct, speech, hsi, ultrasound or petct, where the file could be of several.

    Returns:
        The domain's xarray object, with ``attrs["domain"]``.

    Raises:
        InputError: no domain reads it, or several do; the message names them.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder: check the name")
    if domain is not None and domain not in DOMAINS:
        raise InputError(f"domain: {domain!r} is given, take one of {', '.join(DOMAINS)}")
    names = [domain] if domain is not None else domains_of(path)
    if not names:
        raise InputError(f"{path}: no domain reads this: see docs/formats.md for what is read")
    if len(names) > 1:
        raise InputError(
            f"{path}: could be of {' or '.join(names)}: say which, as domain={names[0]!r}"
        )
    opened = load_domain(names[0]).open
    if opened is None:
        raise InputError(f"{path}: {names[0]} has no reader of single files")
    data = opened(path)
    return data.assign_attrs(domain=names[0])


def domains_of(path: Path) -> list[str]:
    """Names of the domains that recognise a file or folder."""
    return [name for name in declared() if load_domain(name).recognises(path)]
