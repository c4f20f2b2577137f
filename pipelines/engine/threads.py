"""How many processor threads a command uses."""

from __future__ import annotations

__all__ = ["use_threads"]


def use_threads(count: int | None) -> None:
    """Limits torch to so many threads; None leaves its own choice."""
    if count is not None:
        import torch

        torch.set_num_threads(count)
