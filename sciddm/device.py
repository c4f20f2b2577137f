"""Where tensors lie and networks run: the CPU, or an accelerator.

The core follows its arguments: an operator, a network or a sampler computes where its input lies.
What reads files decides once: inside ``use(device)``, ``to_device`` brings arrays there, ``placed``
brings modules, and ``to_numpy`` brings results back. Random numbers come from the CPU's generator
(``sciddm.random``) and are moved, so that a seed gives the same draw on every device.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sciddm.errors import InputError, OptionError

__all__ = ["VARIABLE", "available", "current", "placed", "resolve", "to_device", "to_numpy", "use"]

#: Environment variable that names the device where no option does.
VARIABLE = "SCIDDM_DEVICE"
_NAME = re.compile(r"auto|cpu|cuda(:\d+)?|mps")
_CHOICES = "auto, cpu, cuda, cuda:N, mps"

M = TypeVar("M", bound=nn.Module)
_current: ContextVar[torch.device | None] = ContextVar("device", default=None)


def available() -> list[torch.device]:
    """All devices of this machine; the CPU is the last."""
    found = [torch.device("cuda", k) for k in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append(torch.device("mps", 0))
    return [*found, torch.device("cpu")]


def resolve(name: str = "auto") -> torch.device:
    """The device of a name.

    Args:
        name: auto, cpu, cuda, cuda:N or mps. "auto" is what ``SCIDDM_DEVICE`` names, without it the
            first CUDA device, without one the CPU. It is never mps, which lacks double precision.

    Raises:
        OptionError: no such name, or this machine has no such device.
        InputError: likewise, of the environment variable.
    """
    if name != "auto":
        device, problem = _device(name)
        if device is None:
            raise OptionError("device", problem, name)
        return device
    name = os.environ.get(VARIABLE, "") or "auto"
    device, problem = _device(name)
    if device is None:
        raise InputError(f"{VARIABLE}={name}: {problem}")
    return device


def _device(name: str) -> tuple[torch.device | None, str]:
    """The device, or None and what is wrong with its name."""
    if _NAME.fullmatch(name) is None:
        return None, f"take one of {_CHOICES}"
    devices = available()
    if name == "auto":
        first = devices[0]
        return (first if first.type == "cuda" else torch.device("cpu")), ""
    wanted = torch.device(name)
    if wanted.type != "cpu" and wanted.index is None:
        wanted = torch.device(wanted.type, 0)
    if wanted in devices:
        return wanted, ""
    return None, f"this machine has no such device, only {', '.join(map(str, devices))}"


@contextmanager
def use(device: torch.device) -> Iterator[None]:
    """Computes on a device within the context."""
    token = _current.set(device)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> torch.device:
    """The device of the innermost ``use``; outside of all the CPU."""
    return _current.get() or torch.device("cpu")


def to_device(values: NDArray[Any]) -> Tensor:
    """An array as a tensor on the current device; on the CPU they share their memory."""
    return torch.from_numpy(values).to(current())


def placed(module: M) -> M:
    """The module itself, moved to the current device."""
    return module.to(current())


def to_numpy(values: Tensor) -> NDArray[Any]:
    """A tensor as an array; one of the CPU shares its memory with it."""
    return np.asarray(values.detach().cpu().numpy())
