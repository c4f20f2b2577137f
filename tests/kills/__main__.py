"""Kills and faults: `python -m tests.kills --count 500 --write benchmarks/results/kills.md`."""

from __future__ import annotations

import argparse
import errno
import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dask
import numpy as np

from tests.fuzz.record import state
from tests.journal import Journal
from tests.kills import library
from tests.kills.scenarios import scenarios
from tests.kills.trial import Prepared, prepare, trial

_KILL, _TIME = "kill -9 at a call", "kill -9 at a moment"
#: What happens, and how the library of faults names it; 0 is left to the clock.
_ACTIONS = {_KILL: 1, "EIO": errno.EIO, "ENOSPC": errno.ENOSPC, _TIME: 0}
_AT_CALLS = (_KILL, "EIO", "ENOSPC")
_RENAMES = ("rename", "renameat", "link", "linkat")
_COLUMNS = ("run", "trial", "fault", "site", "call", "answer", "wrong", "seconds", "state")


@dataclass(frozen=True)
class Fault:
    """What is to happen in one trial; `site` is the number of the call, or milliseconds."""

    what: str
    site: int
    call: str


def plan(one: Prepared, seed: int, every_call: bool) -> Iterator[Fault]:
    """Faults of a scenario without end: a kill at each rename, and between them every fault.

    Every call site comes once before any comes twice.
    """
    random = np.random.default_rng([seed, len(one.scenario.name)])
    sites = [int(n) for n in random.permutation(len(one.calls)) + 1]

    def at_calls(what: str, numbers: Iterable[int]) -> Iterator[Fault]:
        return (Fault(what, n, one.calls[n - 1]) for n in numbers)

    if every_call:
        for k, what in enumerate(_AT_CALLS):
            yield from at_calls(what, sites[k :: len(_AT_CALLS)])
        return
    renames = at_calls(_KILL, _renames(one, sites))
    places = itertools.cycle(sites)
    for what in itertools.cycle(_ACTIONS):
        yield from itertools.islice(renames, 1)
        if what == _TIME:
            yield Fault(what, int(1200 * one.seconds * random.uniform()), "")
        else:
            yield from at_calls(what, [next(places)])


def _renames(one: Prepared, sites: Iterable[int]) -> list[int]:
    return [n for n in sites if one.calls[n - 1] in _RENAMES]


def run(a: argparse.Namespace, journal: Journal) -> list[Prepared]:
    """Faults over all scenarios in turn, beyond those of the journal."""
    if not a.every_call and len(journal.rows) >= a.count:
        return []
    with tempfile.TemporaryDirectory(prefix="sciddm-kills-") as name:
        place = Path(name).resolve()
        (place / "inputs").mkdir()
        ready = []
        for k, scenario in enumerate(scenarios(place / "inputs")):
            if a.only in scenario.name:
                ready.append(prepare(scenario, place / str(k)))
        plans = {r.scenario.name: plan(r, a.seed, a.every_call) for r in ready}
        before = Counter(row["run"] for row in journal.rows)
        for name, many in before.items():
            if name in plans:
                plans[name] = itertools.islice(plans[name], many, None)
        code, live = state(), list(ready)
        # As many other faults for each scenario as there is room for, beside those at renames.
        renames = {r.scenario.name: len(_renames(r, range(1, len(r.calls) + 1))) for r in ready}
        others = max(1.0, (a.count - sum(renames.values())) / max(1, len(ready)))
        while live and (a.every_call or len(journal.rows) < a.count):
            # The scenario that is behind comes next: the same trials, wherever a run was ended.
            part = {n: before[n] / (renames[n] + others) for n in renames}
            one = min(live, key=lambda r: part[r.scenario.name])
            title = one.scenario.name
            fault = next(plans[title], None)
            if fault is None:
                live.remove(one)
                continue
            start, work = time.monotonic(), place / f"work{len(journal.rows)}"
            action = _ACTIONS[fault.what]
            if action:
                outcome = trial(one, work, fault.site, action)
            else:
                outcome = trial(one, work, 0, 0, fault.site / 1000)
            journal.add(
                title, before[title], fault.what, fault.site, fault.call, outcome.answer,
                int(outcome.wrong), f"{time.monotonic() - start:.1f}", code,
            )  # fmt: skip
            before[title] += 1
            if outcome.wrong:
                print(f"{title}: {fault.what} {fault.site} {fault.call}: {outcome.answer}")
                sys.stdout.flush()
        return ready


def page(journal: Journal, command: str) -> str:
    """The table as Markdown."""
    rows = journal.rows
    wrong = sum(int(row["wrong"]) for row in rows)
    states = Counter(row["state"] for row in rows)
    kills = sum(row["fault"] in (_KILL, _TIME) for row in rows)
    renames = sum(row["fault"] == _KILL and row["call"] in _RENAMES for row in rows)
    lines = [
        "# Kills and faults of the disk",
        "",
        f"`{command}`: {len(rows)} faults, {kills} of them kills, {renames} at a rename or a link; "
        f"{wrong} wrong.",
        "",
        "A fault hits a run at one of the calls by which it changes the disk, or a kill comes at a",
        "random moment. Then the interrupted commit is settled. Every item must be the old one",
        "whole or the new one whole by its checksums and by its bytes, where two undisturbed runs",
        "make the same bytes. Nothing may be left over. Where an item is not the new one, the",
        "command is run again and must make it. A training that goes on must have the weights of",
        "an undisturbed one, bit for bit. `mixed`: some items of a batch are new.",
        "",
        f"States of the code: {', '.join(f'`{s}` ({n})' for s, n in states.items())}.",
        "",
        "| run | fault | trials | old | mixed | new | wrong |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(row["run"] for row in rows):
        for what in _ACTIONS:
            those = [r for r in rows if r["run"] == name and r["fault"] == what]
            if those:
                told = Counter("wrong" if int(r["wrong"]) else r["answer"] for r in those)
                cells = " | ".join(str(told[k]) for k in ("old", "mixed", "new", "wrong"))
                lines.append(f"| {name} | {what} | {len(those)} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--every-call", action="store_true", help="each call site once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the name of a run")
    parser.add_argument(
        "--write", type=Path, help="file for the table; trials go beside it, and are not repeated"
    )
    a = parser.parse_args()
    if library._VARIABLE not in os.environ:
        if library.compiler() is None:
            sys.exit("needs a compiler of C (cc) and Linux")
        fixed = {"SCIDDM_ISOLATION": "off", "OMP_NUM_THREADS": "1"}
        words = [sys.executable, "-m", "tests.kills", *sys.argv[1:]]
        os.execve(sys.executable, words, {**library.environment(), **fixed})
    dask.config.set(scheduler="synchronous")  # threads do not survive the forks
    start = time.monotonic()
    journal = Journal(None if a.write is None else a.write.with_suffix(".csv"), _COLUMNS)
    run(a, journal)
    text = page(journal, f"python -m tests.kills --seed {a.seed}")
    print(text, f"{time.monotonic() - start:.0f} s")
    if a.write is not None:
        a.write.write_text(text)
    sys.exit(1 if any(int(row["wrong"]) for row in journal.rows) else 0)


if __name__ == "__main__":
    main()
