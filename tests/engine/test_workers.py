"""Items done by worker processes: the same outputs, and what happens when a worker is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest
from fragile_domain import DOMAIN, square_verb
from typer.testing import CliRunner

from sciddm.errors import OptionError
from sciddm.pipelines.domains import declared, load_domain
from sciddm.pipelines.engine.batch import Job
from sciddm.pipelines.engine.commands import domain_app
from sciddm.pipelines.engine.item import Item
from sciddm.pipelines.engine.verb import Transform
from sciddm.pipelines.engine.workers import worker
from sciddm.pipelines.engine.workers.devices import threads_each, visible_gpus
from sciddm.pipelines.engine.workers.parallel import Part, bytes_of
from sciddm.pipelines.engine.workers.task import Address, Task
from sciddm.pipelines.engine.workers.worker import Setup, Worker, WorkerError


def fragile(*words: object) -> tuple[int, str, str]:
    """Calls ``sciddm fragile`` in this process: exit code, stdout, stderr."""
    answer = CliRunner().invoke(domain_app(DOMAIN), ["square", *map(str, words)])
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer.exit_code, answer.stdout, answer.stderr


def written(folder: Path) -> dict[str, object]:
    """Every output below a folder, without the time it took.

    The versions are those of the libraries that a process has loaded: pytest's has more.
    """
    content: dict[str, object] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            about = json.loads(path.read_text())
            about = {k: v for k, v in about.items() if k not in ("seconds", "date", "versions")}
            about["command"] = about["command"].replace(str(folder), "OUT")
            content[name] = about
        elif not name.startswith(("results", ".results")):
            content[name] = path.read_bytes()
    return content


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Six numbers in two folders."""
    folder = tmp_path / "in"
    (folder / "deep" / "deeper").mkdir(parents=True)
    for k in range(4):
        (folder / f"n{k}.txt").write_text(f"{k}.5")
    (folder / "deep" / "n0.txt").write_text("7")
    (folder / "deep" / "deeper" / "n9.txt").write_text("9")
    return folder


def test_two_workers_write_what_one_process_writes(
    numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    code, alone, _ = fragile(numbers, "-o", tmp_path / "one", "--recursive")
    assert code == 0
    words = ("--recursive", "--jobs", 2, "--log", log, "--json")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,MIG-1")
    code, out, err = fragile(numbers, "-o", tmp_path / "two", *words)
    assert code == 0, err
    assert written(tmp_path / "one") == written(tmp_path / "two")
    assert len(written(tmp_path / "two")) == 12
    started = [line.split() for line in log.read_text().splitlines()]
    assert Counter(path for path, _ in started).most_common(1)[0][1] == 1
    assert str(os.getpid()) not in {pid for _, pid in started}
    # The document is in the order of the inputs, whoever was quicker.
    document = json.loads(out)
    inputs = [Path(r["input"]).name for r in document["results"]]
    assert inputs == ["n9.txt", "n0.txt", "n0.txt", "n1.txt", "n2.txt", "n3.txt"]
    assert [r["square"] for r in document["results"]] == [81, 49, 0.25, 2.25, 6.25, 12.25]
    # Each worker has one GPU; a quick one may do all items before the other is there.
    assert {r["device"] for r in document["results"]} <= {"3", "MIG-1"}
    assert "warning: n9.txt: It is large." in err
    # A second start finds all done, and starts nobody.
    code, _, err = fragile(numbers, "-o", tmp_path / "two", *words)
    assert code == 0
    assert err.count("done already") == 6
    assert len(log.read_text().splitlines()) == 6
    assert alone.count("n0.txt") >= 2


def test_a_worker_that_dies_costs_one_try_of_its_item(tmp_path: Path) -> None:
    folder, log = tmp_path / "in", tmp_path / "log"
    folder.mkdir()
    texts = {"a": "1", "b": "2 dies", "c": "3 dies once", "d": "bad", "e": "5"}
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    words = ("--jobs", 2, "--log", log, "--json")
    code, out, err = fragile(folder, "-o", tmp_path / "out", *words)
    assert code == 1
    results = {Path(r["input"]).stem: r for r in json.loads(out)["results"]}
    status = {name: result["status"] for name, result in results.items()}
    failures = dict.fromkeys("bd", "failed")
    assert status == {**dict.fromkeys("ace", "done"), **failures}
    assert "cost 2 workers" in results["b"]["error"]
    assert "SIGKILL" in results["b"]["error"]
    assert results["d"]["error"].endswith("holds no number")
    assert "c.txt: its worker crashed (SIGSEGV): the item is tried again" in err
    starts = Counter(Path(line.split()[0]).stem for line in log.read_text().splitlines())
    assert starts == {"a": 1, "b": 2, "c": 2, "e": 1}
    assert not (tmp_path / "out" / ".sciddm").exists()


def test_a_worker_has_no_more_memory_than_it_may(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("1 grows")
    item = Item(Job(source, tmp_path / "b.txt"), square_verb.request.of({}))
    process = Worker(Setup(memory=400 * 10**6))
    with pytest.raises(WorkerError, match="needed more memory than 0"):
        process.call(Task(Address.of(square_verb), item))
    assert not _runs(process.pid)


def test_systems_without_workers_say_so(
    numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_resident", lambda pid: 0)
    with pytest.raises(OptionError, match="memory"):
        fragile(numbers, "-o", tmp_path / "out", "--jobs", 2, "--memory", "4G")
    monkeypatch.delattr(os, "fork")
    with pytest.raises(OptionError, match="use --part"):
        fragile(numbers, "-o", tmp_path / "out", "--jobs", 2)


def test_an_option_that_suits_no_item_is_one_error(numbers: Path, tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        domain_app(DOMAIN),
        ["square", str(numbers), "-o", f"{tmp_path}/out", "--jobs", "2", "--model", "no"],
    )
    assert "no: no such model" in str(answer.exception)
    assert not written(tmp_path / "out")


_COMMAND = textwrap.dedent(
    """
    import sys
    sys.path.insert(0, sys.argv.pop(1))
    from fragile_domain import DOMAIN
    from sciddm.pipelines import cli
    from sciddm.pipelines.engine.commands import domain_app
    cli.app.add_typer(domain_app(DOMAIN), name="fragile")
    cli.main()
    """
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_caller(tmp_path: Path, number: int) -> None:
    folder, log = tmp_path / "in", tmp_path / "log"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.txt").write_text("1 waits 60")
    here = str(Path(__file__).parent)
    words = ["fragile", "square", folder, "-o", tmp_path / "out", "--jobs", "2", "--log", log]
    with subprocess.Popen(
        [sys.executable, "-c", _COMMAND, here, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not log.exists() or len(log.read_text().splitlines()) < 2:
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    pids = [int(line.split()[1]) for line in log.read_text().splitlines()]
    end = time.monotonic() + 20
    while any(map(_runs, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(_runs, pids))
    assert not list((tmp_path / "out").glob("[!.]*"))
    assert not (tmp_path / "out" / ".sciddm").exists()
    if number == signal.SIGTERM:
        assert process.returncode == 128 + number
        assert said.endswith("error: stopped; outputs that were finished are kept\n")


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_parts_divide_the_items(numbers: Path, tmp_path: Path) -> None:
    fragile(numbers, "-o", tmp_path / "one", "--recursive")
    counts = []
    for part in ("1/4", "2/4", "3/4", "4/4"):
        words = (numbers, "-o", tmp_path / "parts", "--recursive", "--part", part, "--json")
        code, out, _ = fragile(*words)
        assert code == 0
        counts.append(len(json.loads(out)["results"]))
    assert counts == [2, 2, 1, 1]
    assert written(tmp_path / "one") == written(tmp_path / "parts")
    # More parts than items: the last have nothing to do.
    assert fragile(numbers, "-o", tmp_path / "parts", "--part", "9/9")[0] == 0


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(OptionError, match="such as 2/8"):
        Part.of(text)


def test_sizes_of_memory() -> None:
    sizes = {"4G": 4e9, "1.5 GiB": 1.5 * 2**30, "500m": 5e8, "1000": 1000, "2TB": 2e12}
    assert {text: bytes_of(text) for text in sizes} == sizes
    for text in ("", "0", "4X", "-1G", "nan"):
        with pytest.raises(OptionError, match="such as 4G"):
            bytes_of(text)


def test_workers_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_each(n) for n in (1, 2, 5, 100)] == [12, 6, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert [threads_each(n) for n in (1, 2, 5)] == [4, 4, 2]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, MIG-7")
    assert visible_gpus() == ["2", "MIG-7"]
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert visible_gpus() == []
    variables = Setup(threads=3, device="MIG-7").environment()
    assert (variables["OMP_NUM_THREADS"], variables["CUDA_VISIBLE_DEVICES"]) == ("3", "MIG-7")


def test_every_verb_has_an_address() -> None:
    """Workers find it by that."""
    for name in declared():
        for verb in load_domain(name).verbs:
            if isinstance(verb, Transform):
                assert Address.of(verb).verb() is verb
