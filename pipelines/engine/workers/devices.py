"""What the workers of one machine share: its cores and its GPUs."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["threads_each", "visible_gpus"]


def threads_each(workers: int) -> int:
    """Processor threads of each of several workers: the cores of this process, divided.

    OMP_NUM_THREADS is a bound, as it is for one process.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    share = max(1, (cores or 1) // workers)
    bound = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(share, int(bound)) if bound.isdigit() and int(bound) > 0 else share


def visible_gpus() -> list[str]:
    """Entries of CUDA_VISIBLE_DEVICES, one a GPU; empty where there is none.

    Without the variable all GPUs of the machine count. Nothing is loaded where there are none.
    """
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    if stated is not None:
        entries = [entry.strip() for entry in stated.split(",") if entry.strip()]
        return [] if entries[:1] in (["-1"], ["NoDevFiles"]) else entries
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return []
    import torch

    return [str(k) for k in range(torch.cuda.device_count())]
