"""Ten thousand scans on many workers, simulated: what is busy, and what breaks first.

    python -m benchmarks.scaling [--measure] [--write FILE]

An event simulation of `--scheduler`: each worker takes an item, claims its outputs, reads, computes
and writes, and gives the claim back. Four things are shared and serve one at a time: the dask
scheduler, the command that started the batch, the list of claims of the output folder, and the file
system (bytes over its bandwidth). ``--measure`` prints the constants that this machine gives for
`Costs`; those of a network file system are assumptions, stated in `Costs`.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import pickle
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

__all__ = ["Costs", "Load", "simulate"]


@dataclass(frozen=True)
class Load:
    """What is to be done.

    Attributes:
        items: number of scans.
        workers: worker processes.
        seconds: of computing an item.
        bytes_in, bytes_out: of an item.
        folders: output folders that the items are spread over.
    """

    items: int = 10_000
    workers: int = 64
    seconds: float = 60.0
    bytes_in: float = 200e6
    bytes_out: float = 50e6
    folders: int = 1


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes of one event.

    Attributes:
        scheduler: seconds of the dask scheduler for an item; its documentation states about 1 ms.
        driver: seconds of the command for an answer (measured).
        order, answer: bytes of both (measured).
        call: seconds of one call to the network file system (assumed: 1 ms).
        calls_fixed: calls of a claim and its end that do not depend on other claims.
        calls_each: what each other claim in the folder adds, in calls (measured: 0.07 ms).
        bandwidth: of the file system, bytes per second (assumed: 2 GB/s).
        start: seconds until a worker is ready, beside its reading.
        start_bytes: that a worker reads when it starts: libraries and model.
    """

    scheduler: float = 1e-3
    driver: float = 2e-4
    order: float = 1.1e3
    answer: float = 1.5e3
    call: float = 1e-3
    calls_fixed: int = 35
    calls_each: float = 0.07
    bandwidth: float = 2e9
    start: float = 6.0
    start_bytes: float = 700e6


class _Server:
    """Serves one request at a time, in their order."""

    def __init__(self) -> None:
        self.free_at = 0.0
        self.busy = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """When a request that comes now is answered."""
        self.free_at = max(now, self.free_at) + seconds
        self.busy += seconds
        return self.free_at


def simulate(load: Load, costs: Costs) -> dict[str, float]:
    """The time that a batch takes, and how busy each shared part is.

    Returns:
        hours; efficiency: the time of computing alone over that of all workers; shares of the time
        for which the scheduler, the command, the busiest list of claims and the file system are
        busy; megabytes through the scheduler; terabytes through the file system; model loads.
    """
    scheduler, driver, disk = _Server(), _Server(), _Server()
    claims = [_Server() for _ in range(load.folders)]
    order = itertools.count()
    events: list[tuple[float, int, str, int]] = []
    for worker in range(load.workers):
        ready = disk.serve(0.0, costs.start_bytes / costs.bandwidth) + costs.start
        heapq.heappush(events, (ready, next(order), "free", worker))
    waiting, end = load.items, 0.0
    folder_of = dict.fromkeys(range(load.workers), 0)
    both = costs.calls_fixed + costs.calls_each * (load.workers / load.folders)
    while events:
        now, _, state, worker = heapq.heappop(events)
        if state == "free":
            if not waiting:
                continue
            waiting -= 1
            folder_of[worker] = waiting % load.folders
            after, when = "claim", scheduler.serve(now, costs.scheduler)
        elif state == "claim":
            after, when = "read", claims[folder_of[worker]].serve(now, both * costs.call)
        elif state == "read":
            after = "compute"
            # Once for its hash and once for its data.
            when = disk.serve(now, 2 * load.bytes_in / costs.bandwidth)
        elif state == "compute":
            after, when = "write", now + load.seconds
        elif state == "write":
            after, when = "answer", disk.serve(now, load.bytes_out / costs.bandwidth)
        else:
            end = max(end, driver.serve(now, costs.driver))
            after, when = "free", now
        heapq.heappush(events, (when, next(order), after, worker))
    moved = load.items * (2 * load.bytes_in + load.bytes_out)
    return {
        "hours": end / 3600,
        "efficiency": load.items * load.seconds / (load.workers * end),
        "scheduler": scheduler.busy / end,
        "command": driver.busy / end,
        "claims": max(c.busy for c in claims) / end,
        "file system": disk.busy / end,
        "scheduler MB": load.items * (costs.order + costs.answer) / 1e6,
        "file system TB": (moved + load.workers * costs.start_bytes) / 1e12,
        "model loads": float(load.workers),
    }


def cases() -> list[Load]:
    """Loads of the study."""
    table = [Load(workers=w) for w in (16, 64, 128, 256, 512, 1024)]
    table += [Load(workers=w, seconds=5.0, bytes_in=5e6, bytes_out=2e6) for w in (16, 64, 128, 256)]
    more = [replace(load, folders=100) for load in table if load.workers >= 64]
    return table + more


def measure() -> dict[str, float]:
    """The constants of `Costs` that this machine gives, on its own disk."""
    from sciddm.data_adapters.commit import claim
    from sciddm.pipelines.engine.batch import Job
    from sciddm.pipelines.engine.item import Item
    from sciddm.pipelines.engine.results import ledger
    from sciddm.pipelines.engine.results.record import Record
    from sciddm.pipelines.engine.results.table import write_results
    from sciddm.pipelines.engine.workers.remote import Order
    from sciddm.pipelines.engine.workers.task import Address, Preparation, Task
    from sciddm.pipelines.engine.workers.worker import Setup
    from sciddm.pipelines.mri.requests import reconstruct

    request = reconstruct.request.of({})
    job = Job(Path("study/patient 0001/scan.h5"), Path("images/patient 0001/scan.nii.gz"))
    record = Record(Path("images"), "mri reconstruct")
    task = Task(Address.of(reconstruct), Item(job, request, batch=True, record=record))
    order = Order(task, Preparation(task.address, request), Setup())
    constants: dict[str, float] = {"order bytes": float(len(pickle.dumps(order)))}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for others in (0, 64, 256):
            with ExitStack() as stack:
                for k in range(others):
                    stack.enter_context(claim([folder / f"other{k}"]))
                start = time.perf_counter()
                for k in range(20):
                    with claim([folder / f"own{k}"]):
                        pass
                constants[f"claim seconds beside {others}"] = (time.perf_counter() - start) / 20
        row = {f"figure{k}": 1.0 / (k + 1) for k in range(30)} | {"verb": "v", "warnings": ["w"]}
        start = time.perf_counter()
        for k in range(100):
            token = ledger.begin(folder, {**row, "input": f"{k}", "output": f"{k}", "about": None})
            ledger.finish(folder, token, {"seconds": 1.0})
        constants["row seconds"] = (time.perf_counter() - start) / 100
        lines = [
            json.dumps({**row, "input": f"{k}", "output": f"{k}", "status": "done", "time": k})
            for k in range(10_000)
        ]
        (folder / ".results" / "all.jsonl").write_text("\n".join(lines) + "\n")
        start = time.process_time()
        write_results(folder)
        constants["table seconds of 10 000 rows"] = time.process_time() - start
    return constants


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="print this machine's constants")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table, JSON")
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(), indent=2))
        return
    text = _text(Costs())
    print(text)
    if args.write is not None:
        args.write.write_text(text)


def _text(costs: Costs) -> str:
    """The study as a page."""
    lines = [
        "# Scaling of a batch, simulated",
        "",
        "`python -m benchmarks.scaling`: 10 000 items. Shares are of the time of the batch.",
        "Constants: " + ", ".join(f"{k} {v:g}" for k, v in asdict(costs).items()) + ".",
        "",
    ]
    names = ["workers", "s / item", "folders"]
    for number, load in enumerate(cases()):
        result = simulate(load, costs)
        if not number:
            names += list(result)
            lines += ["| " + " | ".join(names) + " |", "|---:" * len(names) + "|"]
        cells = [f"{load.workers}", f"{load.seconds:g}", f"{load.folders}"]
        lines.append("| " + " | ".join([*cells, *(f"{v:.3g}" for v in result.values())]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
