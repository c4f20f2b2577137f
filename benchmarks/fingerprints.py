"""Hashes of what every verb of the command line writes, to tell whether a change changes results.

    python -m benchmarks.fingerprints [--write FILE] [--compare FILE] [--only NAME ...]

Each case is one command line (`fingerprint_cases`) on generated input at seed 0
(`fingerprint_inputs`). The arrays of all files that it writes, and the numbers of its JSON document
where it prints one, get a sha256 over dtype, shape and bytes, and a summary (`fingerprint_arrays`).
The input files get theirs too: a change of input is told from a change of result. `demo` and
`train` are left out: a demo runs the same verbs on larger input. All take two minutes of one core.

benchmarks/results/fingerprints.json holds the hashes of one kind of processor, with one thread.
Floating-point results differ in their last digits between processors and versions of torch: there,
`--compare` lists most cases, and the summaries say how close they are. To check a change, write the
hashes of the commit before it on the same machine first:

    python -m benchmarks.fingerprints --write before.json
    python -m benchmarks.fingerprints --compare before.json

`--compare` prints each array that is new, gone or unequal, below its case, and the cases concerned
at the end; it exits with 1 if there are any. NAME is a case (`fingerprint_cases`) or a pattern
(`'mri *'`, `'*evaluate'`).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.fingerprint_arrays import Named, Print, arrays_of, fingerprint, numbers_of
from benchmarks.fingerprint_cases import CASES
from benchmarks.fingerprint_inputs import INPUTS, has_nufft

Prints = dict[str, dict[str, Print]]

_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the hashes, JSON")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="compare with such a file")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="cases or patterns [all]")
    args = parser.parse_args()
    if any(os.environ.get(k) != v for k, v in _ONE_THREAD.items()):  # read when libraries load
        words = [sys.executable, "-m", "benchmarks.fingerprints", *sys.argv[1:]]
        os.execve(sys.executable, words, {**os.environ, **_ONE_THREAD})
    names = _selected(args.only)
    before = None if args.compare is None else json.loads(args.compare.read_text())
    inputs, outputs = measure(names)
    now = {"about": _about(), "inputs": inputs, "outputs": outputs}
    if args.write is not None:
        args.write.write_text(_text(now))
    if before is not None:
        # What was not run is not compared; cases that are gone are told where all were run.
        gone = set() if args.only else set(before["outputs"]).difference(CASES)
        for part, cases in (("inputs", set(inputs)), ("outputs", gone.union(names))):
            before[part] = {k: v for k, v in before[part].items() if k in cases}
        sys.exit(_compare(before, now))


def measure(names: Iterable[str]) -> tuple[Prints, Prints]:
    """Runs cases in a temporary folder.

    Args:
        names: of `CASES`.

    Returns:
        Fingerprints of the input files by domain, and of the outputs by case.
    """
    import torch

    torch.set_num_threads(1)
    inputs: Prints = {}
    outputs: Prints = {}
    with tempfile.TemporaryDirectory() as place:
        for name in names:
            domain = CASES[name].split()[0]
            source, target = Path(place) / f"{domain} in", Path(place) / f"{name} out"
            start = perf_counter()
            if domain not in inputs:
                source.mkdir()
                _quietly(f"input of {domain}", partial(INPUTS[domain], source))
                inputs[domain] = _prints(arrays_of(source))
            target.mkdir()
            outputs[name] = _run(name, source, target)
            print(f"{perf_counter() - start:6.1f} s  {name}", file=sys.stderr, flush=True)
    return inputs, outputs


def _selected(patterns: list[str] | None) -> list[str]:
    """Cases of these patterns that can run here."""
    names = [n for n in CASES if not patterns or any(fnmatch(n, p) for p in patterns)]
    if not names:
        sys.exit(f"no case {' or '.join(patterns or ())}: there is {', '.join(CASES)}")
    if not has_nufft() and "mri reconstruct radial" in names:
        print("without finufft: mri reconstruct radial is left out", file=sys.stderr)
        names.remove("mri reconstruct radial")
    return names


def _run(name: str, source: Path, target: Path) -> dict[str, Print]:
    """Fingerprints of what a case writes and prints."""
    from sciddm.pipelines.cli import app

    folders = {"IN": str(source), "OUT": str(target)}
    words = [
        folders.get(head, head) + (f"/{rest}" if rest else "")
        for head, _, rest in (word.partition("/") for word in CASES[name].split())
    ]
    said = _quietly(name, partial(app, words, standalone_mode=False))
    prints = _prints(arrays_of(target))
    if "--json" in words:
        prints |= _prints(numbers_of(said))
    if not prints:
        sys.exit(f"{name}: wrote no arrays")
    return prints


def _quietly(name: str, work: Callable[[], Any]) -> str:
    """What the work prints on stdout; ends the process where the work fails."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = work()
    if code:
        sys.exit(f"{name}: exit code {code}\n{err.getvalue()}")
    return out.getvalue()


def _prints(arrays: Named) -> dict[str, Print]:
    return {name: fingerprint(array) for name, array in arrays}


def _about() -> dict[str, str]:
    """What was measured, and for which machine and libraries hashes hold."""
    import numpy as np
    import torch

    import sciddm

    info = Path("/proc/cpuinfo")
    models = [] if not info.exists() else info.read_text().splitlines()
    model = next((m.partition(":")[2].strip() for m in models if m.startswith("model name")), "")
    folder = Path(__file__).parent
    commit = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"]
    version = subprocess.run(commit, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": version,
        "note": "Hashes hold for one kind of processor: floating point differs between machines.",
        "processor": f"{platform.machine()} {model or platform.processor()}".strip(),
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "sciddm": sciddm.__version__,
    }


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> int:
    """Prints the differences; 1 if there are any."""
    for key, then in before["about"].items():
        if then != now["about"].get(key):
            print(f"{key}: {then} before, {now['about'].get(key)} now")
    inputs = _differences("input of ", before["inputs"], now["inputs"])
    outputs = _differences("", before["outputs"], now["outputs"])
    if inputs:
        print(f"changed inputs: {', '.join(inputs)}")
    if outputs:
        print(f"changed results, {len(outputs)} of {len(now['outputs'])}: {', '.join(outputs)}")
    else:
        count = sum(len(arrays) for arrays in now["outputs"].values())
        print(f"all {count} arrays of {len(now['outputs'])} cases are equal")
    return int(bool(inputs or outputs))


def _differences(kind: str, before: Prints, now: Prints) -> list[str]:
    """Prints what differs; returns the names of the cases concerned."""
    concerned = []
    for case in dict.fromkeys([*before, *now]):
        then_all, now_all = before.get(case, {}), now.get(case, {})
        lines = []
        for name in dict.fromkeys([*then_all, *now_all]):
            then, this = then_all.get(name), now_all.get(name)
            if then is None or this is None:
                lines.append(f"  {name}: {'new' if then is None else 'gone'}")
            elif then["sha256"] != this["sha256"]:
                lines.append(f"  {name}: {_change(then, this)}")
        if lines:
            concerned.append(case)
            print(f"{kind}{case}", *lines, sep="\n")
    return concerned


def _change(then: Print, now: Print) -> str:
    """How far two summaries are apart."""
    for key in ("dtype", "shape"):
        if then[key] != now[key]:
            return f"{key} {then[key]} -> {now[key]}"
    keys = ("mean", "std", "min", "max")
    if not all(k in then and k in now for k in keys):
        return "differs"
    size = max(abs(then["min"]), abs(then["max"]), 1e-300)
    most = max(abs(then[k] - now[k]) for k in keys) / size
    moves = ", ".join(f"{k} {then[k]:g} -> {now[k]:g}" for k in keys if then[k] != now[k])
    return f"{most:.1e} of its largest value in {moves}" if moves else "equal to 6 digits"


def _text(content: Mapping[str, Any]) -> str:
    """JSON with sorted keys and one line an array, so that a change is a line."""

    def entry(key: str, value: Any) -> str:
        return f"{json.dumps(key)}: {value}"

    def block(parts: Iterable[str], indent: int) -> str:
        space = " " * indent
        return "{\n" + ",\n".join(space + p for p in parts) + "\n" + space[1:] + "}"

    blocks = [entry("about", json.dumps(content["about"], indent=2).replace("\n", "\n "))]
    for part in ("inputs", "outputs"):
        cases = [
            entry(
                case,
                block((entry(k, json.dumps(v)) for k, v in sorted(arrays.items())), 3),
            )
            for case, arrays in sorted(content[part].items())
        ]
        blocks.append(entry(part, block(cases, 2)))
    return block(blocks, 1) + "\n"


if __name__ == "__main__":
    main()
