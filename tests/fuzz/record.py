"""The record of a run as a page: how often which format had which answer, and what it needed."""

from __future__ import annotations

from collections import Counter

from tests.journal import Journal

__all__ = ["COLUMNS", "bad_numbers", "page", "state"]

#: Of the journal: the last row of a number counts.
COLUMNS = ("number", "format", "answer", "mebibytes", "seconds", "child_mebibytes", "state", "told")
GOOD = ("right", "error")


def state() -> str:
    """Name of the code's state."""
    import subprocess

    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def bad_numbers(journal: Journal) -> list[int]:
    """Inputs whose last answer is neither a right result nor one line of error."""
    return [int(n) for n, row in _last(journal).items() if row["answer"] not in GOOD]


def page(journal: Journal, seed: int, command: str) -> str:
    """The table as Markdown."""
    last = list(_last(journal).values())
    counts = Counter((row["format"], row["answer"]) for row in last)
    answers = [*GOOD, *sorted({row["answer"] for row in last} - set(GOOD))]
    formats = sorted({row["format"] for row in last})
    peak = {f: max(float(r["mebibytes"]) for r in last if r["format"] == f) for f in formats}
    slow = {f: max(float(r["seconds"]) for r in last if r["format"] == f) for f in formats}
    bad = sum(row["answer"] not in GOOD for row in last)
    first_bad = {row["number"] for row in journal.rows if row["answer"] not in GOOD}
    states = Counter(row["state"] for row in last)
    child = max((float(row["child_mebibytes"]) for row in last), default=0.0)
    lines = [
        "# Damaged inputs",
        "",
        f"`{command}`: {len(last)} inputs with seed {seed}, {bad} answered badly.",
        "",
        "Each input is a valid sample of a format, or a fault that was met once, with a change to",
        "its bytes or its structure. A right answer is a result or one line of error. A bad one is",
        "an internal error, a traceback, a hang, a crash of the caller, or more than 1536 MiB.",
        "",
        f"States of the code: {', '.join(f'`{s}` ({n})' for s, n in states.items())}. "
        f"{len(first_bad)} inputs were answered badly at first; they were read again after the "
        "code was mended.",
        "",
        f"Largest memory of one input: {max(peak.values(), default=0.0):.0f} MiB. Largest memory "
        f"of the process that reads all of them: {child:.0f} MiB.",
        "",
        f"| format | inputs | {' | '.join(answers)} | peak / MiB | longest / s |",
        "|---|---:|" + "---:|" * (len(answers) + 2),
    ]
    for name in formats:
        numbers = [counts[name, answer] for answer in answers]
        cells = " | ".join(map(str, numbers))
        lines.append(f"| {name} | {sum(numbers)} | {cells} | {peak[name]:.0f} | {slow[name]:.1f} |")
    totals = " | ".join(str(sum(counts[f, a] for f in formats)) for a in answers)
    longest = max(slow.values(), default=0.0)
    most = max(peak.values(), default=0.0)
    lines.append(f"| all | {len(last)} | {totals} | {most:.0f} | {longest:.1f} |")
    return "\n".join(lines) + "\n"


def _last(journal: Journal) -> dict[str, dict[str, str]]:
    return {row["number"]: row for row in journal.rows}
