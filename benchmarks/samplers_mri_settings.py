"""Steps and settings of the MRI comparison, the same for ours and for the peers' versions."""

from __future__ import annotations

__all__ = ["GRIDS", "STEPS"]

#: Steps by method: about the same forwards.
STEPS = {
    "smc": 20,
    "mmps": 10,
    "gibbs": 40,
    "pigdm": 20,
    "flowdps": 40,
    "diffpir": 40,
    "dps": 20,
    "dds": 40,
    "ddnm": 40,
    "tmpd": 13,
    "ddrm": 40,
    "flowchef": 20,
    "red-diff": 40,
    "daps": 20,
    "sitcom": 5,
    "mgdm": 5,
    "pnp-dm": 3,
}
#: Of guidance that takes several kinds of steps the last number is the kind: multistep.
GRIDS: dict[str, list[tuple[float, ...]]] = {
    "dps": [(v, 1.0) for v in (1.0, 5.0, 25.0, 125.0)],
    "diffpir": [(v, 0.0) for v in (0.3, 1.0, 3.0, 10.0)],
    "flowdps": [(v,) for v in (0.3, 1.0, 3.0, 10.0)],
    "dds": [(v, 0.0) for v in (1.0, 10.0, 100.0)],
    "ddrm": [(0.5,), (0.85,), (1.0,)],
    "flowchef": [(0.5,), (1.0,)],
    "red-diff": [(w, r) for w in (0.25, 4.0) for r in (0.1, 0.3)],
    "sitcom": [(0.1,), (0.3,)],
}
