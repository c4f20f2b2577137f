"""Two hundred small items of every domain: one process, two, a dask cluster, two parts.

    python -m benchmarks.batches [--folder DIR] [--only NAME ...] [--throughput] [--write FILE]

All runs have one thread a process. The outputs of all ways are compared with those of one process:
byte by byte, and where a file holds the time of its making, by its arrays and all else it holds.
One of the two worker processes is killed (SIGKILL) in the middle. On the cluster, which is a real
``dask scheduler`` with two ``dask worker`` processes, a worker is killed, then the scheduler, and
both are started again.

``--throughput`` measures instead how much quicker two workers are on items that take longer than a
start. It needs an idle machine with two cores or more.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.batch_inputs import BATCHES
from benchmarks.dask_processes import DaskProcesses
from benchmarks.fingerprint_arrays import arrays_of, fingerprint

_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
#: What differs between two runs of the same command.
_STAMPS = ("seconds", "date", "sciddm_files", "real_time_factor")
_TABLES = ("results.csv", "results.parquet")
#: Folder of its outputs -> what is done.
_WAYS = {
    "one": "one process",
    "jobs": "--jobs 2, a worker of each batch killed",
    "cluster": "--scheduler, two workers, one killed, the scheduler killed",
    "parts": "--part 1/2 and 2/2 side by side",
}


class Run(NamedTuple):
    """One way through all items.

    Attributes:
        codes: exit codes that are not 0.
        processor_seconds: of all processes but those of dask.
        told: notes about lost workers and schedulers.
    """

    codes: list[int]
    processor_seconds: float
    told: list[str]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="keep inputs and outputs here")
    parser.add_argument("--only", nargs="+", choices=BATCHES, default=list(BATCHES))
    parser.add_argument("--throughput", action="store_true", help="measure the gain of two workers")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table")
    args = parser.parse_args()
    os.environ.update(_ONE_THREAD)
    with tempfile.TemporaryDirectory() as temporary:
        place = args.folder or Path(temporary)
        table = _throughput(place) if args.throughput else _same(place, args.only)
    print(table)
    if args.write is not None:
        args.write.write_text(table)


def _same(place: Path, names: list[str]) -> str:
    _write_inputs(place, names)
    runs: dict[str, Run] = {}
    for way, go in zip(_WAYS, (_alone, _jobs, _cluster, _parts), strict=True):
        mark = place / way / "finished.json"
        if not mark.exists():
            mark.parent.mkdir(exist_ok=True)
            mark.write_text(json.dumps(go(place, place / way, names)))
        runs[way] = Run(*json.loads(mark.read_text()))
        print(f"{way}: {runs[way]}", file=sys.stderr, flush=True)
    total = sum(BATCHES[name].count for name in names)
    header = [
        "way", "items done", "missing", "rows too many", "equal bytes", "equal but for their time",
        "other files", "exit codes", "processor s",
    ]  # fmt: skip
    lines = [
        "# Batches: the same files, whoever makes them",
        "",
        f"`python -m benchmarks.batches`: {total} items, "
        + ", ".join(f"{BATCHES[name].count} `{BATCHES[name].words}`" for name in names)
        + ". Files are compared with those of one process. Processor seconds leave out dask's own.",
        "",
        "| " + " | ".join(header) + " |",
        "|---|" + "---:|" * (len(header) - 1),
    ]
    told = []
    for way in _WAYS:
        compared = Counter[str]()
        for name in names:
            compared += _compare(place / "one" / name, place / way / name)
        rows = _rows(place / way, names)
        run = runs[way]
        codes = ", ".join(map(str, run.codes)) or "0"
        cells = [
            _WAYS[way], rows["done"], total - rows["done"], sum(rows.values()) - total,
            compared["bytes"], compared["content"], compared["differ"], codes,
            f"{run.processor_seconds:.0f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
        told += [f"- {_WAYS[way]}: {line}" for line in run.told]
    return "\n".join([*lines, "", "What the commands said:", "", *told]) + "\n"


def _write_inputs(place: Path, names: Iterable[str]) -> None:
    for name in names:
        folder = place / "in" / name
        if folder.exists():
            continue
        partial = folder.with_name(f"{name}.part")
        partial.mkdir(parents=True, exist_ok=True)
        for seed in range(BATCHES[name].count):
            BATCHES[name].write(partial, seed)
        partial.rename(folder)


def _command(place: Path, out: Path, name: str, *more: str) -> list[str]:
    words = ["-m", "sciddm.pipelines.cli", *shlex.split(BATCHES[name].words)]
    source, target = f"in/{name}", str((out / name).relative_to(place))
    return [sys.executable, *words, source, "-o", target, "--json", *more]


def _call(place: Path, out: Path, names: Iterable[str], *more: str) -> Run:
    """The commands one after the other."""
    start, codes, told = _processor_seconds(), [], []
    for name in names:
        words = _command(place, out, name, *more)
        answer = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
        codes += [answer.returncode] * (answer.returncode != 0)
        told += _notes(answer.stderr)
    return Run(codes, _processor_seconds() - start, told)


def _notes(text: str) -> list[str]:
    marks = ("error:", "its worker", "the scheduler", "answers again")
    return [line for line in text.splitlines() if any(word in line for word in marks)]


def _alone(place: Path, out: Path, names: list[str]) -> Run:
    return _call(place, out, names)


def _jobs(place: Path, out: Path, names: list[str]) -> Run:
    """Two workers, one of which is killed when some items of each batch are done."""
    stopped = threading.Event()
    killed: list[str] = []

    def kill() -> None:
        while not stopped.wait(0.2):
            for name in names:
                if name not in killed and len(list((out / name).glob("*.json"))) >= 2:
                    for pid in _workers_of(os.getpid())[:1]:
                        os.kill(pid, signal.SIGKILL)
                        killed.append(name)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        return _call(place, out, names, "--jobs", "2")
    finally:
        stopped.set()
        thread.join()


def _workers_of(pid: int) -> list[int]:
    """Worker processes below a process."""
    found = []
    for child in _children(pid):
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        found += [child] if b"engine.workers.serve" in words else _workers_of(child)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (thread / "children").read_text().split())
    except OSError:
        pass
    return children


def _cluster(place: Path, out: Path, names: list[str]) -> Run:
    """A worker is killed in the first half of all items, the scheduler in the second."""
    (out / "dask").mkdir(exist_ok=True)
    total = sum(BATCHES[name].count for name in names)

    def done() -> int:
        return sum(len(list((out / name).glob("*.json"))) for name in names)

    with DaskProcesses(out / "dask") as dask:
        dask.start_scheduler()
        workers = [dask.start_worker(), dask.start_worker()]
        stopped = threading.Event()

        def disturb() -> None:
            while done() < total // 4:
                if stopped.wait(0.2):
                    return
            dask.kill(workers[0])
            dask.start_worker()
            while done() < total // 2:
                if stopped.wait(0.2):
                    return
            dask.kill(dask.scheduler)
            dask.start_scheduler()
            for _ in range(2):
                dask.start_worker()

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            return _call(place, out, names, "--scheduler", dask.address)
        finally:
            stopped.set()
            thread.join()


def _parts(place: Path, out: Path, names: list[str]) -> Run:
    """Two commands side by side for each batch."""
    start, codes, told = _processor_seconds(), [], []
    for name in names:
        parts = [
            subprocess.Popen(
                _command(place, out, name, "--part", f"{k}/2"),
                cwd=place,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for k in (1, 2)
        ]
        for part in parts:
            _, said = part.communicate()
            codes += [part.returncode] * (part.returncode != 0)
            told += _notes(said)
    return Run(codes, _processor_seconds() - start, told)


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _rows(out: Path, names: Iterable[str]) -> Counter[str]:
    from sciddm.pipelines.engine.results.table import read_results

    return Counter(row["status"] for name in names for row in read_results(out / name))


def _compare(one: Path, other: Path) -> Counter[str]:
    names = {p.relative_to(f) for f in (one, other) for p in f.rglob("*") if p.is_file()}
    counts = Counter[str]()
    for name in sorted(names):
        if name.name in _TABLES or name.parts[0].startswith("."):
            continue
        counts[_equal(one / name, other / name, one, other)] += 1
    return counts


def _equal(one: Path, other: Path, folder: Path, others: Path) -> str:
    if not (one.exists() and other.exists()):
        return "differ"
    if one.read_bytes() == other.read_bytes():
        return "bytes"
    if one.suffix == ".json":
        pair = (_plain(one, folder), _plain(other, others))
    else:
        pair = (_arrays(one), _arrays(other))
    return "content" if pair[0] and pair[0] == pair[1] else "differ"


def _plain(path: Path, folder: Path) -> Mapping[str, Any]:
    text = path.read_text().replace(f"{folder.parent.name}/{folder.name}", "OUT")
    return {k: v for k, v in json.loads(text).items() if k not in _STAMPS}


def _arrays(path: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        link = Path(place) / path.name
        link.symlink_to(path.resolve())
        return {name: fingerprint(array) for name, array in arrays_of(Path(place))}


def _throughput(place: Path) -> str:
    """Seconds by the clock of one process and of two, on items of some seconds each."""
    _write_inputs(place, ["heads"])
    walls: dict[str, float] = {}
    before = os.getloadavg()[0]
    for way, more in (("one process", ()), ("--jobs 2", ("--jobs", "2"))):
        words = _command(place, place / way, "heads", "--threads", "1", "--samples", "24", *more)
        start = time.perf_counter()
        subprocess.run(words, cwd=place, check=True, stdout=subprocess.DEVNULL)
        walls[way] = time.perf_counter() - start
    gain = walls["one process"] / walls["--jobs 2"]
    return (
        f"`python -m benchmarks.batches --throughput`, load before {before:.1f}: "
        + ", ".join(f"{way} {wall:.1f} s" for way, wall in walls.items())
        + f"; gain {gain:.2f}\n"
    )


if __name__ == "__main__":
    main()
