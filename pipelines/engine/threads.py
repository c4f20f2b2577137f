"""How many processor threads a command uses, and how they wait for each other."""

from __future__ import annotations

import os

__all__ = ["use_threads", "wait_briefly"]

#: Variables by which a user decides how threads wait.
_DECIDED = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_briefly() -> None:
    """Lets idle threads sleep soon; call it before torch is loaded.

    By default they spin for milliseconds. Beside a second process on the same cores each then
    waits for threads that the other keeps from running. Two reconstructions side by side on two
    cores took 2.5 times one alone with 10 000 turns of the loop, 1.6 times asleep; one alone took
    12.5 and 13.2 s.
    """
    if not any(name in os.environ for name in _DECIDED):
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ["KMP_BLOCKTIME"] = "1"


def use_threads(count: int | None) -> None:
    """Limits torch to so many threads; None leaves its own choice."""
    if count is not None:
        import torch

        torch.set_num_threads(count)
