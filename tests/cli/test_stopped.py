"""Commands that are stopped, or run twice at once; and what `sciddm verify` says of outputs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from cli_helpers import FakePipeline, Sciddm

from sciddm.data_adapters.commit import claim, commit

_COMMAND = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    import typer
    from sciddm.pipelines import cli
    from sciddm.data_adapters.commit import commit

    @cli.app.command()
    def wait(target: Path) -> None:
        with commit([target], False) as at:
            at[target].write_text("half")
            print("ready", flush=True)
            time.sleep(60)

    cli.main()
    """
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_request_to_stop_takes_back_what_is_half(tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "wait", str(tmp_path / "a.bin")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert said == "error: stopped; outputs that were finished are kept\n"
    assert not list(tmp_path.iterdir())


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As with nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "wait", str(tmp_path / "a.bin")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.returncode == 128 + signal.SIGTERM


def test_verify(sciddm: Sciddm, tmp_path: Path) -> None:
    target, beside = tmp_path / "a.bin", tmp_path / "a.json"
    with commit([beside, target], False) as at:
        at[target].write_text("data")
        at[beside].write_text(json.dumps({"sciddm_version": "1"}))
    whole = sciddm("verify", tmp_path)
    assert whole.code == 0
    assert "1 of 1 outputs are whole" in whole.out
    target.write_text("Data")
    changed = sciddm("verify", target)
    assert changed.code == 1
    assert f"error: {target}: is not what was written" in changed.err
    listed = json.loads(sciddm("verify", "--json", beside).out)
    assert listed == [{"path": str(target), "state": "changed", "listed_in": str(beside)}]
    target.unlink()
    assert f"{target}: is missing" in sciddm("verify", beside).err
    assert sciddm("verify", tmp_path / "nothing.bin").code == 2


def test_an_item_that_another_process_makes_is_left_to_it(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        with claim([out / f"{scan.stem}.nii.gz"]):
            os.write(ready[1], b"1")
            os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        batch = sciddm("mri", "reconstruct", scan, scan, "-o", out)
        single = sciddm("mri", "reconstruct", scan, "-o", out / f"{scan.stem}.nii.gz")
    finally:
        os.write(done[1], b"1")
        os.waitpid(pid, 0)
    assert batch.code == 0
    assert f"left to another process ({out / scan.stem}.nii.gz: is being written" in batch.err
    assert single.code == 2
    assert f"is being written by process {pid}" in single.err
    assert not list(out.iterdir())


def test_names_are_shown_and_not_obeyed(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path
) -> None:
    hostile = tmp_path / "a\x1b]0;owned\x07\x1b[2J\u202e[bold]x.h5"
    hostile.write_bytes(scan.read_bytes())
    named = sciddm("mri", "reconstruct", hostile, "-o", tmp_path / "b.h5")
    assert named.code == 0
    missing = sciddm("mri", "reconstruct", tmp_path / "c\x1b[31m\udcff.h5", "-o", tmp_path / "d.h5")
    assert missing.code == 2
    for said in (named.out, named.err, missing.out, missing.err):
        assert not set(said) & set("\x1b\x07\u202e\udcff")
    assert r"a\x1b]0;owned\x07\x1b[2J\u202e[bold]x.h5" in named.out.replace("\n", "")
    assert r"c\x1b[31m\xff.h5" in missing.err


@pytest.mark.parametrize("redirected", ["| head -c 0", ">&-", "2>&-", "> /dev/full"])
def test_a_reader_that_is_gone_costs_no_result(tmp_path: Path, redirected: str) -> None:
    target, beside = tmp_path / "a.bin", tmp_path / "a.json"
    with commit([beside, target], False) as at:
        at[target].write_text("data")
        at[beside].write_text(json.dumps({"sciddm_version": "1"}))
    line = f'"$0" -m sciddm.pipelines.cli verify "$1" {redirected}'
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line, sys.executable, str(beside)],
        capture_output=True,
        text=True,
        check=False,
    )
    full = "full" in redirected
    said = "error: standard output cannot be written (No space left on device)\n" if full else ""
    assert (ended.returncode, ended.stderr) == (int(full), said)
