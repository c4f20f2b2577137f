"""What a conditional network can begin with: the features of one that sees the condition alone."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["adopt_features"]


@torch.no_grad()
def adopt_features(network: nn.Module, other: nn.Module) -> None:
    """``network`` begins with the features that ``other`` makes of what is its ``cond``.

    Both have a layer ``first`` and a layer ``last`` and, between them, the same names. Every weight
    that both have is taken over, but ``last``'s: the output stays as it is. In ``first``, whose
    last inputs are those of ``cond``, ``other``'s weights are theirs, and all other inputs begin
    without influence.

    Args:
        network: takes ``cond_channels`` of conditioning.
        other: takes as many channels, and no conditioning.

    Raises:
        ValueError: ``other`` takes another number of channels, or its features differ in width or
            number.
    """
    theirs, mine = other.state_dict(), network.state_dict()
    for name in ("weight", "bias"):
        theirs.pop(f"last.{name}", None)
    if other.config["in_channels"] != network.config["cond_channels"]:  # type: ignore[index]
        raise ValueError("the other network does not see the conditioning alone")
    taken = theirs.pop("first.weight")
    if any(name not in mine or mine[name].shape != w.shape for name, w in theirs.items()):
        raise ValueError("the networks' features differ in width or number")
    theirs["first.weight"] = torch.zeros_like(mine["first.weight"])
    theirs["first.weight"][:, -taken.shape[1] :] = taken
    network.load_state_dict(theirs, strict=False)
