"""Memory that building a model may take: a configuration can ask for any amount.

What a model's constructor allocates is compared, before each allocation, with what its weights
need; so a configuration that does not fit its weights fails within kilobytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from sciddm.errors import ModelError

__all__ = ["Budget"]

_SIZED: frozenset[Callable[..., Any]] = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}
)


class Budget(TorchFunctionMode):
    """Within it, tensors are made until they have so many elements together.

    Args:
        elements: the most.

    Raises:
        ModelError: by the function that would make one more.
    """

    def __init__(self, elements: int) -> None:
        super().__init__()
        self.left = elements

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _SIZED or func is torch.eye:
            self.left -= _elements(func, args, kwargs)
            if self.left < 0:
                raise ModelError("size mismatch: the configuration asks for more than the weights")
        return func(*args, **kwargs)


def _elements(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    if func is torch.eye:
        return int(args[0]) * int(args[-1])
    size = kwargs.get("size", args[0] if args and isinstance(args[0], list | tuple) else args)
    if func is torch.full and args and not isinstance(args[0], list | tuple):
        return 0
    return math.prod(int(n) for n in size)
