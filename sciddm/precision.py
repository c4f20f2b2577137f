"""The arithmetic that networks are evaluated in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

__all__ = ["Precision", "native_precision", "network_arithmetic"]

Precision = Literal["auto", "float32", "bfloat16"]


def network_arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which a network runs on ``device``.

    "auto" is bfloat16 where the processor computes it natively, else float32. "float32" leaves
    the context alone: a training loop may have opened its own autocast.
    """
    chosen = native_precision(device.type) if precision == "auto" else precision
    if chosen == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def native_precision(device: str) -> Literal["float32", "bfloat16"]:
    """bfloat16 where it is faster than float32: CUDA, and CPUs with AMX or AVX512-BF16."""
    if device == "cuda":
        return "bfloat16"
    if device != "cpu":
        return "float32"
    try:
        native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    except AttributeError:  # private names; without them stay with what every CPU does well
        native = False
    return "bfloat16" if native else "float32"
