"""What is worth knowing about an enhancement, for the terminal, the JSON and the report."""

from __future__ import annotations

import math

import xarray as xr

from sciddm.pipelines.engine.summary import Fact

__all__ = ["facts"]

_WORTH_TELLING = 0.01


def facts(result: xr.Dataset) -> list[Fact]:
    """The facts of one enhancement."""
    attrs, channels = result.attrs, result.sizes["channel"]
    rate, duration = int(attrs["rate"]), float(attrs["duration_s"])
    found = [
        Fact("duration_s", "duration", duration, _clock(duration)),
        Fact("rate_hz", "rate", rate, f"{rate / 1000:g} kHz"),
        Fact("channels", "channels", channels, str(channels)),
    ]
    bandwidth = float(attrs["bandwidth_hz"])
    if 2 * bandwidth < rate:  # what lies above follows the model's highest part
        text = f"{bandwidth / 1000:g} of {rate / 2000:g} kHz; {attrs['upper_band']}"
        found.append(Fact("bandwidth_hz", "model's band", bandwidth, text))
    change = float(attrs["level_change_db"])
    if math.isfinite(change):
        text = f"{round(change, 1) or 0.0:+.1f} dB"  # no "-0.0"
        found.append(Fact("level_change_db", "level change", change, text))
    unchanged = float(attrs.get("unchanged_share", 0.0))
    if unchanged >= _WORTH_TELLING:
        text = f"{unchanged:.0%}, since there is no noise"
        found.append(Fact("unchanged_share", "as recorded", unchanged, text))
    gain = float(attrs.get("gain_db", 0.0))
    if gain < 0:
        found.append(Fact("gain_db", "scaled by", gain, f"{gain:.2f} dB"))
    found.append(Fact("nfe", "NFE per part", attrs["nfe"], f"{attrs['nfe']:g}"))
    rtf = float(attrs["real_time_factor"])
    found.append(Fact("real_time_factor", "real-time factor", rtf, f"{rtf:.2f}"))
    return found


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
