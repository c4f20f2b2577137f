"""Sampling rate conversion without delay, of whole recordings or block by block.

A windowed sinc (Kaiser, 64 zero crossings, pass band to 0.947 of the lower Nyquist frequency):
errors in the pass band are below 1e-6. Sample 0 stays at time 0, and L samples at rate p become
ceil(L q / p) at rate q. Ratios of small numbers have a table of all their phases, others take
`AnyRatio`. torch is loaded by the first conversion: who only reads files does without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

from sciddm.errors import SciddmError

if TYPE_CHECKING:
    from torch import Tensor

    from sciddm.data_adapters.audio.any_ratio import AnyRatio

__all__ = ["live_resampler", "resample", "resample_blocks"]

_ZERO_CROSSINGS = 64


class _Filter(TypedDict):
    lowpass_filter_width: int
    rolloff: float
    resampling_method: str
    beta: float


_KAISER: _Filter = {
    "lowpass_filter_width": _ZERO_CROSSINGS,
    "rolloff": 0.9475937167399596,
    "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}


# Weights that a table of all phases may have: 4 MB.
_LARGEST_TABLE = 2**20
# For live use: 2 ms of lookahead at 16 kHz, -90 dB from 1.17 of the lower Nyquist frequency on.
_LIVE_ZERO_CROSSINGS = 32
_LIVE_BETA = 9.0


def resample(wave: Tensor, rate: int, new_rate: int) -> Tensor:
    """(..., L) at `rate` -> (..., ceil(L new_rate / rate)) at `new_rate`."""
    import torch

    if rate == new_rate:
        return wave
    if _is_large(*_reduced(rate, new_rate)):
        convert = _any_ratio(rate, new_rate)
        return torch.cat([convert.push(wave), convert.finish()], dim=-1)
    result: Tensor = _kernel(*_reduced(rate, new_rate))(wave)
    return result


def resample_blocks(
    blocks: Iterable[Tensor], rate: int, new_rate: int, piece: int = 2**16
) -> Iterator[Tensor]:
    """`resample` block by block: the pieces that are yielded are one whole.

    Every piece is computed with as many samples to its left and right as the filter reaches, so
    that it does not matter where blocks end.

    Args:
        blocks: (..., n), of any lengths.
        rate: of the blocks, in Hz.
        new_rate: of what is yielded.
        piece: so many samples, about, are converted at once.
    """
    import torch

    p, q = _reduced(rate, new_rate)
    if p == q:
        yield from blocks
        return
    if _is_large(p, q):
        yield from _converted(blocks, _any_ratio(p, q))
        return
    convert = _kernel(p, q)
    # Pieces are cut at multiples of p, where input and output samples coincide.
    reach = math.ceil(_ZERO_CROSSINGS * p / min(p, q)) + 1
    margin = p * math.ceil(reach / p)
    size = max(p * math.ceil(piece / p), margin)
    held: Tensor | None = None  # what later pieces still need
    left = 0  # so many samples of it lie before the next piece
    pushed = yielded = 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], dim=-1)
        pushed += block.shape[-1]
        # Pieces of one length: every new shape would be planned, and remembered, anew.
        while held.shape[-1] >= left + size + margin:
            first = left // p * q
            part = convert(held[..., : left + size + margin])
            part = part[..., first : first + size // p * q]
            held, left = held[..., left + size - margin :], margin
            yielded += part.shape[-1]
            yield part
    if held is not None:
        first = left // p * q
        yield convert(held)[..., first : first + math.ceil(pushed * q / p) - yielded]


def live_resampler(rate: int, new_rate: int) -> AnyRatio:
    """A converter with little delay: 32 zero crossings of the lower rate's sinc."""
    from sciddm.data_adapters.audio.any_ratio import AnyRatio

    return AnyRatio(
        rate,
        new_rate,
        zero_crossings=_LIVE_ZERO_CROSSINGS,
        rolloff=_KAISER["rolloff"],
        beta=_LIVE_BETA,
    )


def _converted(blocks: Iterable[Tensor], convert: AnyRatio) -> Iterator[Tensor]:
    empty = True
    for block in blocks:
        empty = False
        yield convert.push(block)
    if not empty:
        yield convert.finish()


def _any_ratio(rate: int, new_rate: int) -> AnyRatio:
    from sciddm.data_adapters.audio.any_ratio import AnyRatio

    return AnyRatio(
        rate,
        new_rate,
        zero_crossings=_ZERO_CROSSINGS,
        rolloff=_KAISER["rolloff"],
        beta=_KAISER["beta"],
    )


def _is_large(p: int, q: int) -> bool:
    """Whether the table of all phases of p : q has too many weights."""
    width = math.ceil(_ZERO_CROSSINGS * p / (min(p, q) * _KAISER["rolloff"]))
    return q * (2 * width + p) > _LARGEST_TABLE


def _reduced(rate: int, new_rate: int) -> tuple[int, int]:
    divisor = math.gcd(rate, new_rate)
    return rate // divisor, new_rate // divisor


@lru_cache(maxsize=8)
def _kernel(rate: int, new_rate: int) -> Any:
    try:
        from torchaudio.transforms import Resample
    except OSError as error:
        # The wheel's compiled part links CUDA; resampling is pure Python.
        raise SciddmError(
            "torchaudio does not load beside this build of torch: delete the .so files in its "
            "folder lib (they are not used), or install the pair of one release"
        ) from error
    return Resample(rate, new_rate, **_KAISER)
