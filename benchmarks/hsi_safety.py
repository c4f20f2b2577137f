"""Hyperspectral: does a good cube come back as it was, and is a bad one mended and marked?

    python -m benchmarks.hsi_safety [--parts clean defects ...] [--methods lowrank subspace]
                                    [--qualities fast] [--seeds 5] [--seconds 280] [--fresh]

Every answered case is kept in benchmarks/.cache/hsi_safety, so that a run goes on where the last
one stopped; `--seconds` ends it after so much processor time, `--fresh` asks anew. Writes
benchmarks/results/hsi_safety.md and .csv of all cases that are answered. Cases: see
`benchmarks.hsi_safety_cases`. A row that misses says so.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.hsi_safety_cases import PARTS, Answer, Case, cases_of
from benchmarks.publish import publish
from sciddm.pipelines.hsi.methods.build import method_class

_CACHE = Path(__file__).resolve().parent / ".cache" / "hsi_safety"
Row = dict[str, str | float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--methods", nargs="+", default=["lowrank", "subspace"])
    parser.add_argument("--qualities", nargs="+", default=["fast"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=np.inf, help="processor time")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--fresh", action="store_true")
    args = parser.parse_args()
    rows: list[Row] = []
    missing = 0
    for part in args.parts:
        for method in args.methods:
            graded = method_class(method).has_std
            if part == "intervals" and not graded:
                continue
            for quality in args.qualities if graded else args.qualities[:1]:
                for case in cases_of(part):
                    if args.only not in case.name:
                        continue
                    place = _CACHE / part / method / quality / f"{_file(case.name)}.json"
                    late = time.process_time() > args.seconds
                    found = _answer(place, case, method, quality, args.seeds, args.fresh, late)
                    if found is None:
                        missing += 1
                        continue
                    rows.append(
                        {
                            "part": part,
                            "case": case.name,
                            "method": method,
                            "quality": quality if graded else "",
                            "asked": case.asked,
                            "measured": found.measured,
                            "coverage": np.nan if found.coverage is None else found.coverage,
                            "met": int(found.met),
                        }
                    )
    if rows:
        publish("hsi_safety", _text(rows, missing, args.seeds), rows)


def _answer(
    place: Path, case: Case, method: str, quality: str, seeds: int, fresh: bool, late: bool
) -> Answer | None:
    if place.exists() and not fresh:
        return Answer(**json.loads(place.read_text()))
    if late:
        return None
    start = time.process_time()
    found = case.run(method, quality, seeds)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(asdict(found), default=bool))
    mark = "" if found.met else "  MISSED"
    seconds = time.process_time() - start
    print(f"{seconds:6.1f} s  {method} {quality}, {case.name}: {found.measured}{mark}", flush=True)
    return found


def _file(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)


def _text(rows: list[Row], missing: int, seeds: int) -> str:
    missed = sum(not row["met"] for row in rows)
    text = ["# Hyperspectral: a good cube is not harmed", ""]
    text += [f"{missed} of {len(rows)} rows miss what is asked."]
    if missing:
        text += [f"{missing} cases were not run."]
    text += [""]
    for part in PARTS:
        mine = [row for row in rows if row["part"] == part]
        if not mine:
            continue
        text += [f"## {part}", ""]
        asked = sorted({str(row["asked"]) for row in mine})
        if len(asked) == 1:
            text += [f"Asked: {asked[0]}.", ""]
        if part == "intervals":
            for key in sorted({(row["method"], row["quality"]) for row in mine}):
                some = [float(r["coverage"]) for r in mine if (r["method"], r["quality"]) == key]
                text += [
                    f"{key[0]} {key[1]}: mean {np.mean(some):.1%} of {len(some)} cases, least "
                    f"{min(some):.1%}, largest {max(some):.1%}.",
                    "",
                ]
        text += ["| case | method | measured | |", "|---|---|---|---|"]
        for row in mine:
            name = str(row["case"]) + (f" ({row['asked']})" if len(asked) > 1 else "")
            mark = "met" if row["met"] else "**missed**"
            method = f"{row['method']} {row['quality']}".strip()
            text.append(f"| {name} | {method} | {row['measured']} | {mark} |")
        text.append("")
    text += [f"Made by `python -m benchmarks.hsi_safety`, {seeds} seeds a case.", ""]
    return "\n".join(text)


if __name__ == "__main__":
    main()
