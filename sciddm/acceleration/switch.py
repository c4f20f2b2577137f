"""Whether plans are followed, and the plan of the network that is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, get_args

from sciddm.acceleration.plan import NO_PLAN, Plan

__all__ = ["MODES", "Mode", "active", "evaluating", "follows_plans", "use"]

Mode = Literal["plan", "none"]
MODES: tuple[str, ...] = get_args(Mode)

_mode: ContextVar[Mode] = ContextVar("acceleration", default="plan")
_plan: ContextVar[Plan] = ContextVar("acceleration plan", default=NO_PLAN)


@contextmanager
def use(mode: Mode) -> Iterator[None]:
    """Follows the plans of models ("plan", the default) or computes without any ("none")."""
    if mode not in MODES:
        raise ValueError(f"acceleration is {' or '.join(MODES)}, not {mode!r}")
    token = _mode.set(mode)
    try:
        yield
    finally:
        _mode.reset(token)


def follows_plans() -> bool:
    """Whether plans are followed here."""
    return _mode.get() == "plan"


@contextmanager
def evaluating(plan: Plan) -> Iterator[None]:
    """A network with this plan is evaluated within the context."""
    token = _plan.set(plan if follows_plans() else NO_PLAN)
    try:
        yield
    finally:
        _plan.reset(token)


def active() -> Plan:
    """The plan that a network's layers follow now."""
    return _plan.get()
