"""An enhanced recording on disk: NAME.wav, NAME_std.wav and NAME.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

import sciddm
from sciddm.data_adapters.attributes import sidecar
from sciddm.data_adapters.audio.encoding import encoding_for
from sciddm.data_adapters.audio.metadata import Metadata
from sciddm.data_adapters.audio.read import AudioFile
from sciddm.data_adapters.audio.write import AudioSink
from sciddm.storage.scratch_array import release

__all__ = ["save_enhanced"]

_BLOCK = 2**18
#: A clipped peak would have been cut by less than this, in dB: not worth a remark.
_UNHEARD_DB = 0.01


def save_enhanced(
    result: xr.Dataset, path: Path, at: Mapping[Path, Path], *, source: Path | None
) -> None:
    """Writes the outputs; what was done to level and tags is added to the result's attributes.

    Args:
        result: ``enhanced`` and, where asked for, ``std``, (channel, time), with the attributes
            rate, container and subtype of the input.
        path: the recording.
        at: from each output to where it is written.
        source: the input, whose tags are kept.
    """
    attrs = result.attrs
    rate, channels, frames = int(attrs["rate"]), result.sizes["channel"], result.sizes["time"]
    encoding = encoding_for(
        path,
        rate,
        channels,
        container=str(attrs.get("container", "")),
        subtype=str(attrs.get("subtype", "")),
        frames=frames,
    )
    metadata = AudioFile(source).metadata if source is not None else Metadata()
    sink = _written(result["enhanced"], AudioSink(at[path], encoding, metadata))
    beside = path.with_name(f"{path.stem}_std.wav")
    if beside in at and "std" in result:
        kept = encoding_for(beside, rate, channels, subtype="FLOAT", frames=frames)
        _written(result["std"], AudioSink(at[beside], kept))
    warnings = json.loads(attrs["warnings"]) if attrs.get("warnings") else []
    if sink.gain_db < -_UNHEARD_DB:
        warnings.append(f"Scaled by {sink.gain_db:.2f} dB, since its peak would have been clipped.")
    warnings += metadata.lost_in(encoding.container)
    attrs.update(
        container=encoding.container,
        subtype=encoding.subtype,
        gain_db=sink.gain_db,
        warnings=json.dumps(warnings),
    )
    text = sidecar({**attrs, "warnings": warnings}, "result", sciddm.__version__)
    at[path.with_suffix(".json")].write_text(text, encoding="utf-8")


def _written(values: xr.DataArray, sink: AudioSink) -> AudioSink:
    with sink:
        for start in range(0, values.sizes["time"], _BLOCK):
            block = values.isel(time=slice(start, start + _BLOCK)).values
            sink.write(np.ascontiguousarray(block, dtype=np.float32))
            release(block)
    return sink
