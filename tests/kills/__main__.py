"""Kills and faults: `python -m tests.kills --count 500 --write benchmarks/results/kills.md`."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import dask
import numpy as np

from tests.kills import library
from tests.kills.scenarios import scenarios
from tests.kills.trial import Prepared, prepare, trial

#: What happens, and every which trial it is of the four.
_ACTIONS = {"kill -9 at a call": 1, "EIO": errno.EIO, "ENOSPC": errno.ENOSPC}
_TIME = "kill -9 at a moment"


def run(
    count: int | None, seed: int, only: str
) -> tuple[list[Prepared], Counter[tuple[str, str, str]]]:
    """That many faults over all scenarios in turn; every call site comes once before any twice.

    Without a count every call site of all of them comes once.

    Returns:
        The scenarios, and how often which fault of which scenario had which answer.
    """
    random = np.random.default_rng(seed)
    table: Counter[tuple[str, str, str]] = Counter()
    with tempfile.TemporaryDirectory(prefix="sciddm-kills-") as name:
        place = Path(name).resolve()
        (place / "inputs").mkdir()
        ready = []
        for k, scenario in enumerate(scenarios(place / "inputs")):
            if only in scenario.name:
                ready.append(prepare(scenario, place / str(k)))
                print(f"{scenario.name}: {ready[-1].calls} calls", flush=True)
        sites = {r.scenario.name: random.permutation(r.calls) + 1 for r in ready}
        total = len(ready) * max(r.calls for r in ready) if count is None else count
        for number in range(total):
            turn, place_in_turn = divmod(number, len(ready))
            one = ready[place_in_turn]
            what = [*_ACTIONS, _TIME][(turn + place_in_turn) % 4]
            site = int(sites[one.scenario.name][turn % one.calls])
            work = place / f"work{number}"
            if what == _TIME:
                delay = float(random.uniform(0, 1.2 * one.seconds))
                found = trial(one, work, 0, 0, delay)
            else:
                found = trial(one, work, site, _ACTIONS[what])
            told = "WRONG" if found.wrong else found.answer
            table[one.scenario.name, what, told] += 1
            if found.wrong:
                print(f"{one.scenario.name}: {what} {site}: {found.answer}", flush=True)
        return ready, table


def page(ready: list[Prepared], table: Counter[tuple[str, str, str]], command: str) -> str:
    """The table as Markdown."""
    total, wrong = sum(table.values()), sum(v for k, v in table.items() if k[2] == "WRONG")
    lines = [
        "# Kills and faults of the disk",
        "",
        f"`{command}`: {total} faults, {wrong} wrong.",
        "",
        "A fault hits a run at one of the calls by which it changes the disk, or a kill comes at",
        "a random moment. Then the interrupted commit is settled. Every item must be the old one",
        "whole or the new one whole by its checksums, with nothing left over. Where it is not the",
        "new one, the command is run again and must make it. A training that goes on must have the",
        "weights of an undisturbed one, bit for bit. `mixed`: some items of a batch are new.",
        "",
        "| run | calls | fault | old | mixed | new | wrong |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for one in ready:
        name = one.scenario.name
        for what in [*_ACTIONS, _TIME]:
            numbers = [table[name, what, told] for told in ("old", "mixed", "new", "WRONG")]
            if sum(numbers):
                cells = " | ".join(map(str, numbers))
                lines.append(f"| {name} | {one.calls} | {what} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--every-call", action="store_true", help="each call site once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the name of a run")
    parser.add_argument("--write", type=Path, help="file for the table")
    a = parser.parse_args()
    if library._VARIABLE not in os.environ:
        if library.compiler() is None:
            sys.exit("needs a compiler of C (cc) and Linux")
        given = {"SCIDDM_ISOLATION": "off", "OMP_NUM_THREADS": "1"}
        words = [sys.executable, "-m", "tests.kills", *sys.argv[1:]]
        os.execve(sys.executable, words, {**library.environment(), **given})
    dask.config.set(scheduler="synchronous")  # threads do not survive the forks
    start = time.monotonic()
    ready, table = run(None if a.every_call else a.count, a.seed, a.only)
    text = page(ready, table, f"python -m tests.kills --count {a.count} --seed {a.seed}")
    print(text, f"{time.monotonic() - start:.0f} s")
    if a.write is not None:
        a.write.write_text(text)
    sys.exit(1 if any(k[2] == "WRONG" for k in table) else 0)


if __name__ == "__main__":
    main()
