"""A device without hardware whose tensors refuse to meet those of the CPU.

A tensor there is a wrapper around one of the CPU: it computes what the CPU computes, bit by bit,
reports another device, and raises where an accelerator does: two devices in one operation, a
generator of the CPU, and a conversion to NumPy without a copy to the CPU. A forgotten
``.to(device)`` or ``.cpu()`` fails with it as on an accelerator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

__all__ = ["SEPARATE", "Separate", "separate_device"]

#: A type of device that torch knows in every build, and for which it has no kernels.
SEPARATE = torch.device("lazy", 0)
_CPU = torch.device("cpu")
_aten = torch.ops.aten
#: Operations that take tensors of two devices.
_COPIES = {_aten.copy_.default, _aten._to_copy.default}
#: Here the indices may lie on the CPU, whatever the device of the first argument.
_INDICES = {
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
}
#: Lazy conjugates and signs, which an operation below the dispatcher would not see, and whole ones.
_LAZY = {
    _aten._conj.default: _aten._conj_physical.default,
    _aten._neg_view.default: _aten.neg.default,
}
#: Functions that make tensors before an operation is dispatched.
_LITERAL = {torch.tensor, torch.as_tensor, torch.asarray}
#: Functions that change the shape of a tensor in place, which a wrapper does not follow.
_WHOLE = {torch.stft, torch.istft}


class Separate(Tensor):
    """A tensor on the separate device."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Separate:
        dense = inner.layout == torch.strided
        made: Separate = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.size(),
            # A sparse tensor looks dense from outside: only its products are asked for.
            strides=inner.stride() if dense else torch.empty(inner.shape, device="meta").stride(),
            storage_offset=inner.storage_offset() if dense else 0,
            dtype=inner.dtype,
            device=SEPARATE,
        )
        made.inner = inner
        return made

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"Separate({self.inner!r})"

    def tolist(self) -> Any:
        return self.inner.tolist()

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        return torch.tensor(data, **{"dtype": self.dtype, "device": SEPARATE, **options})

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_with_tensors(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_with_tensors(index), value)

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: object, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _computed(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    """Sees the operations that have no tensor of the device among their arguments, too."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operation loads torch's compiler, for five seconds

    def __torch_dispatch__(
        self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _computed(func, args, kwargs or {})


class _Literals(TorchFunctionMode):
    """Lets ``torch.tensor(values, device=...)`` know the device."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if func in _LITERAL and device is not None and torch.device(device) == SEPARATE:
            return func(*args, **{**kwargs, "device": None}).to(SEPARATE)
        if func in _WHOLE:
            return _computed(func, args, kwargs)
        return func(*args, **kwargs)


def _computed(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What the CPU computes, on the device of the arguments."""
    tensors = [v for v in tree_iter((args, kwargs)) if isinstance(v, Tensor)]
    separate = [t for t in tensors if isinstance(t, Separate)]
    there = bool(separate)
    if there and func not in _COPIES:
        _refuse_mixture(func, args, tensors)
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == SEPARATE.type
        kwargs = {**kwargs, "device": _CPU}
    if there and getattr(kwargs.get("generator"), "device", None) == _CPU:
        raise RuntimeError(f"{func}: expected a generator of {SEPARATE}, found one of the CPU")
    if func is _aten.copy_.default:
        there = isinstance(args[0], Separate)
    inner_args, inner_kwargs = tree_map(_unwrapped, (tuple(args), dict(kwargs)))
    out = _LAZY.get(func, func)(*inner_args, **inner_kwargs)
    if not there or func is _aten._local_scalar_dense.default:
        return out
    # What an operation in place returns is its own argument.
    own = {id(t.inner): t for t in separate}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, Separate):
            return value
        return own[id(value)] if id(value) in own else Separate(value)

    return tree_map(wrapped, out)


def _with_tensors(index: Any) -> Any:
    """An index in which lists and arrays are tensors: torch would make them on the device."""
    if isinstance(index, tuple):
        return tuple(_with_tensors(i) for i in index)
    return torch.as_tensor(index) if isinstance(index, list | np.ndarray) else index


def _unwrapped(value: Any) -> Any:
    return value.inner if isinstance(value, Separate) else value


def _refuse_mixture(func: Any, args: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    checked = tensors
    if func in _INDICES and isinstance(args[0], Separate):
        checked = [t for t in args if isinstance(t, Tensor)]
    # Scalars of the CPU may meet any device.
    if any(not isinstance(t, Separate) and t.ndim > 0 for t in checked):
        shapes = ", ".join(f"{t.device} {tuple(t.shape)}" for t in checked)
        raise RuntimeError(f"{func}: expected all tensors on the same device, found {shapes}")


@contextmanager
def separate_device() -> Iterator[torch.device]:
    """The device, which exists within the context."""
    autocast = torch.autocast

    def known(device: str, *args: Any, **kwargs: Any) -> torch.autocast:
        # It has no arithmetic of its own: networks run in the CPU's.
        return autocast("cpu" if device == SEPARATE.type else device, *args, **kwargs)

    # In inference mode torch moves tensors and takes views without the dispatcher.
    with (
        mock.patch("torch.autocast", known),
        mock.patch("torch.inference_mode", torch.no_grad),
        _Literals(),
        _Operations(),
    ):
        yield SEPARATE
