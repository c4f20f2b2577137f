"""Reads one input after the other, as a batch does; told over stdin, answers on stdout.

A line is (reader, path); the answer is (kind, text, MiB, MiB): "right", "error" for a
`SciddmError`, or "internal" for anything else; the memory that the input needed at most, here or in
the worker; and what this process holds then. What libraries keep of the thousands before it is not
its own.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from pathlib import Path

from tests.fuzz.readers import READERS


def main() -> None:
    """Answers until stdin ends."""
    from sciddm.data_adapters.isolation import call
    from sciddm.errors import SciddmError

    def processes() -> list[str]:
        return ["self"] + ([str(call._worker.pid)] if call._worker is not None else [])

    warnings.simplefilter("ignore")
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        reader, path = json.loads(line)
        before = {pid: _from_here(pid) for pid in processes()}
        try:
            READERS[reader](Path(path))
            kind, text = "right", ""
        except SciddmError as error:
            kind, text = "error", str(error)
        except Exception as error:
            kind, text = "internal", f"{type(error).__name__}: {error}"
        needed = max(_memory(pid, "VmHWM") - before.get(pid, 0.0) for pid in processes())
        whole = _memory("self", "VmRSS")
        answers.write(json.dumps([kind, text, needed, whole]) + "\n")
        answers.flush()


def _from_here(pid: str) -> float:
    """What a process holds now, MiB; its peak begins anew."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")
    return _memory(pid, "VmRSS")


def _memory(pid: str, name: str) -> float:
    """A line of a process's status, MiB."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines[name].split()[0]) / 1024
    except (OSError, KeyError, ValueError):
        return 0.0


main()
