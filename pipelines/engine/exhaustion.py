"""What to say when the memory of the device does not suffice."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames

from sciddm.errors import OptionError
from sciddm.pipelines.engine.request import Request

__all__ = ["advice", "memory_advice"]

#: By which torch's allocators other than CUDA's say it, in an error of no type of its own.
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")
#: Quality levels that need less memory than one.
_BELOW = {"best": "quality balanced or fast", "balanced": "quality fast"}


@contextmanager
def memory_advice(request: Request, device: str) -> Iterator[None]:
    """Raises OptionError in place of torch's error of a memory that does not suffice.

    Args:
        request: of the computation; its options say what can be smaller.
        device: where it runs.
    """
    try:
        yield
    except RuntimeError as error:
        if not _exhausted(error):
            raise
        # The frames hold tensors, and the next item of a batch would find the memory full.
        clear_frames(error.__traceback__)
        _release()
        raise OptionError("device", advice(request, device), device) from None


def advice(request: Request, device: str) -> str:
    """One sentence: which quality, samples or tile to take."""
    declared = request.declared()
    ways = [_BELOW[q] for q in [getattr(request, "quality", "")] if q in _BELOW]
    if "tile" in declared:
        ways.append("a smaller tile")
    if "samples" in declared and getattr(request, "samples", None) not in (1, 2):
        ways.append("fewer samples")
    if device != "cpu":
        ways.append("device cpu")
    if not ways:
        return "out of memory: close other programs or give a smaller input"
    last = ways.pop()
    return (
        f"out of memory: take {', '.join(ways)} or {last}"
        if ways
        else (f"out of memory: take {last}")
    )


def _exhausted(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(s in str(error) for s in _SIGNS)


def _release() -> None:
    """Gives memory that torch holds for reuse back to the device."""
    torch = sys.modules["torch"]
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
