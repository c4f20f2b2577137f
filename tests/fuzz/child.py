"""Reads one input after the other, as a batch does; told over stdin, answers on stdout.

A line is (reader, path); the answer is (kind, text, MiB): "right", "error" for a `SciddmError`, or
"internal" for anything else, and the largest memory of this process and its worker.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from tests.fuzz.readers import READERS


def main() -> None:
    """Answers until stdin ends."""
    from sciddm.data_adapters.isolation import call
    from sciddm.errors import SciddmError

    warnings.simplefilter("ignore")
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        reader, path = json.loads(line)
        try:
            READERS[reader](Path(path))
            kind, text = "right", ""
        except SciddmError as error:
            kind, text = "error", str(error)
        except Exception as error:
            kind, text = "internal", f"{type(error).__name__}: {error}"
        pids = ["self"] + ([str(call._worker.pid)] if call._worker is not None else [])
        answers.write(json.dumps([kind, text, max(_peak(pid) for pid in pids)]) + "\n")
        answers.flush()


def _peak(pid: str) -> float:
    """The largest memory that a process has had, MiB."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["VmHWM"].split()[0]) / 1024
    except (OSError, KeyError, ValueError):
        return 0.0


main()
