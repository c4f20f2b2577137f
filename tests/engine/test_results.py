"""The table of results: no row lost or doubled, and what can be asked of it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sciddm.errors import InputError, OptionError
from sciddm.pipelines.cli import app
from sciddm.pipelines.engine.results import ledger
from sciddm.pipelines.engine.results.query import condition, ordered
from sciddm.pipelines.engine.results.table import read_results, write_results


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Three series, one of which is damaged and one short."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "long.txt").write_text("\n".join(map(str, range(270, 280))))
    (folder / "short.txt").write_text("270\n271\n272\n273\n")
    (folder / "worse.txt").write_text("no numbers")
    return folder


def test_a_batch_leaves_a_row_for_each_item(
    toy: Callable[..., object], series: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    answer = toy("smooth", series, "-o", out, "--report", "--json")
    document = json.loads(answer.out)  # type: ignore[attr-defined]
    facts = {Path(r["input"]).name: r for r in document["results"]}
    with (out / "results.csv").open(newline="") as file:
        rows = {Path(row["input"]).name: row for row in csv.DictReader(file)}
    assert list(rows) == ["long.txt", "short.txt", "worse.txt"]
    assert [row["status"] for row in rows.values()] == ["done", "done", "failed"]
    assert float(rows["long.txt"]["mean_k"]) == facts["long.txt"]["mean_k"]
    assert rows["short.txt"]["warnings"] == "The series is short."
    assert rows["worse.txt"]["error"] == facts["worse.txt"]["error"]
    assert rows["long.txt"]["fits"] == facts["long.txt"]["verdict"]["fits"]["answer"]
    about = json.loads((out / "long.json").read_text())
    for key in ("input_sha256", "date", "command"):
        assert rows["long.txt"][key] == str(about[key])
    assert rows["long.txt"]["page"] == "long.html"
    # What was damaged is mended: its row is replaced, the others stay.
    (series / "worse.txt").write_text("1\n2\n3\n4\n5\n6\n")
    toy("smooth", series, "-o", out, "--report")
    again = {row["output"]: row for row in read_results(out)}
    assert [row["status"] for row in again.values()] == ["done"] * 3
    assert again["worse.txt"].get("error") is None
    assert again["long.txt"]["mean_k"] == facts["long.txt"]["mean_k"]


def test_csv_parquet_and_the_ledger_say_the_same(
    toy: Callable[..., object], series: Path, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "out"
    toy("smooth", series, "-o", out)
    own = read_results(out)
    table = parquet.read_table(out / "results.parquet")
    assert str(table.schema.field("mean_k").type) == "double"
    assert str(table.schema.field("warnings").type) == "list<element: string>"
    for copy in (read_results(out / "results.parquet"), read_results(out / "results.csv")):
        for row, other in zip(own, copy, strict=True):
            for key in ("output", "status", "mean_k", "error", "seconds", "input_sha256"):
                assert row.get(key) == other.get(key)


def test_outputs_without_a_row_get_one_from_their_json(
    toy: Callable[..., object], series: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    toy("smooth", series, "-o", out)
    before = {row["output"]: row for row in read_results(out)}
    shutil.rmtree(out / ".results")
    toy("smooth", series, "-o", out)
    after = {row["output"]: row for row in read_results(out)}
    for key in ("date", "input_sha256", "warnings", "command"):
        assert after["short.txt"][key] == before["short.txt"][key]
    assert "mean_k" not in after["short.txt"]  # nothing is invented
    assert after["worse.txt"]["status"] == "failed"


def test_a_row_that_the_disk_refused_is_made_from_the_outputs(
    toy: Callable[..., object],
    series: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sciddm.pipelines.engine.results.record.begin", full)
    out = tmp_path / "out"
    answer = toy("smooth", series, "-o", out)
    assert "table of results cannot be written (No space left" in answer.err  # type: ignore[attr-defined]
    rows = {row["output"]: row for row in read_results(out)}
    assert rows["short.txt"]["warnings"] == ["The series is short."]
    assert rows["worse.txt"]["status"] == "failed"


def test_the_tables_keep_their_names(
    toy: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toy_domain import smooth_verb

    monkeypatch.setattr(type(smooth_verb.target), "suffix", lambda self, form: ".csv", raising=True)
    for name in ("a", "results"):
        (tmp_path / f"{name}.txt").write_text("1\n2\n3\n4\n")
    with pytest.raises(InputError, match="rename the input"):
        toy("smooth", tmp_path / "a.txt", tmp_path / "results.txt", "-o", tmp_path / "out")


ROW = {"input": "a", "output": "a.txt", "verb": "toy smooth", "date": "D", "input_sha256": "H"}


@pytest.mark.parametrize("date", ["D", "another"])
def test_a_row_counts_when_its_outputs_are_there(tmp_path: Path, date: str) -> None:
    """A process may be killed between the commit and its second line, or before the commit."""
    ledger.begin(tmp_path, {**ROW, "mean_k": 3.0, "about": "a.json"})
    assert ledger.read(tmp_path) == []
    ledger.begin(tmp_path, {**ROW, "mean_k": 3.0, "about": "a.json"})
    (tmp_path / "a.json").write_text(json.dumps({"date": date, "input_sha256": "H"}))
    rows = ledger.read(tmp_path)
    assert [(row["status"], row["mean_k"]) for row in rows] == [("done", 3.0)] * (date == "D")


def test_a_row_that_is_begun_outlives_the_merging_of_another_process(tmp_path: Path) -> None:
    token = ledger.begin(tmp_path, {**ROW, "mean_k": 3.0, "about": "a.json"})
    assert ledger.read(tmp_path) == []  # another part ends, and merges
    ledger.finish(tmp_path, token, {"seconds": 2.0})
    (row,) = ledger.read(tmp_path)
    assert (row["output"], row["mean_k"], row["seconds"]) == ("a.txt", 3.0, 2.0)


def test_a_torn_line_is_no_row_and_harms_no_other(tmp_path: Path) -> None:
    token = ledger.begin(tmp_path, {**ROW, "about": None})
    ledger.finish(tmp_path, token, {"seconds": 2.0})
    other = tmp_path / ".results" / "host-1-x.jsonl"
    whole = json.dumps({**ROW, "output": "b.txt", "status": "done", "time": 1})
    other.write_text(whole + "\n" + whole[:20])
    for _ in range(2):  # merged, and read again
        rows = ledger.read(tmp_path)
        assert [row["output"] for row in rows] == ["a.txt", "b.txt"]
        assert rows[0]["seconds"] == 2.0
    assert [p.name for p in (tmp_path / ".results").glob("*.jsonl")] == ["merged.jsonl"]


def test_the_last_row_of_an_output_counts(tmp_path: Path) -> None:
    for time, status in ((3.0, "done"), (1.0, "failed"), (2.0, "failed")):
        ledger.append(tmp_path, {**ROW, "status": status, "time": time})
        ledger.read(tmp_path, merge=time == 1.0)
    assert [row["status"] for row in ledger.read(tmp_path)] == ["done"]
    ledger.append(tmp_path, {**ROW, "status": "failed", "time": 4.0, "verb": "toy other"})
    assert len(ledger.read(tmp_path)) == 2


def test_a_spreadsheet_sees_no_formula(tmp_path: Path) -> None:
    evil = "=HYPERLINK(1)"
    ledger.append(tmp_path, {**ROW, "input": evil, "status": "done", "time": 1.0, "gain": -2.5})
    write_results(tmp_path)
    (cells,) = csv.DictReader((tmp_path / "results.csv").open(newline=""))
    assert cells["input"] == f"'{evil}"
    assert cells["gain"] == "-2.5"
    (row,) = read_results(tmp_path / "results.csv")
    assert (row["input"], row["gain"]) == (evil, -2.5)


ROWS = [
    {"name": "A", "psnr_db": 30, "fits": "yes", "warnings": [], "flag": True},
    {"name": "b c", "psnr_db": 9.5, "fits": "no", "warnings": ["Stripes."], "flag": False},
    {"name": "D", "psnr_db": None, "fits": "not checked", "warnings": ["Cut.", "x"]},
]
COLUMNS = ["name", "psnr_db", "fits", "warnings", "flag"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("fits==no", ["b c"]),
        ("fits = 'not checked'", ["D"]),
        ("psnr_db > 9.5", ["A"]),
        ("psnr_db>=9.5", ["A", "b c"]),
        ("psnr_db<1e2 and fits!=yes", ["b c"]),
        ("psnr_db == 30.0 or warnings ~ stripe", ["A", "b c"]),
        ("psnr_db != 30", ["b c", "D"]),
        ("warnings", ["b c", "D"]),
        ("not warnings", ["A"]),
        ("not not flag", ["A"]),
        ("flag==no", ["b c"]),
        ("not (fits==yes or fits==no)", ["D"]),
        ("fits==yes or fits==no and psnr_db>20", ["A"]),
        ('name == "B C"', ["b c"]),
        ("NOT warnings AND psnr_db", ["A"]),
    ],
)
def test_conditions(text: str, names: list[str]) -> None:
    test = condition(text, COLUMNS)
    assert [row["name"] for row in ROWS if test(row)] == names


@pytest.mark.parametrize(
    "text",
    [
        "", "psnr_db >", "> 3", "other==1", "(fits==no", "fits==no)", "fits==no psnr_db", "and",
        "__import__('os')", "name.__class__", "fits=='no", "(" * 99 + "fits", "not",
        "fits==(no)", "fits == no or",
    ],
)  # fmt: skip
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(OptionError, match="where"):
        condition(text, COLUMNS)


def test_rows_in_order() -> None:
    def names(column: str, falling: bool) -> list[str]:
        return [row["name"] for row in ordered(ROWS, column, COLUMNS, falling)]

    assert names("psnr_db", False) == ["b c", "A", "D"]
    assert names("psnr_db", True) == ["A", "b c", "D"]
    assert names("name", False) == ["A", "b c", "D"]
    with pytest.raises(OptionError, match="no such column, only name"):
        names("date", False)


def test_the_command(toy: Callable[..., object], series: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    toy("smooth", series, "-o", out)
    code, said = _results(out, "--sort", "mean_k", "--descending")
    assert code == 0
    assert said.index("long.txt") < said.index("worse.txt")
    code, said = _results(out, "--where", "warnings~short", "--where", "mean_k>0", "--json")
    assert [row["output"] for row in json.loads(said)] == ["short.txt"]
    assert "id" not in json.loads(said)[0]
    code, said = _results(out, "--where", "status==failed", "--columns", "output, error")
    assert "no series of numbers" in said
    assert said.rstrip().endswith("1 of 3 rows.")
    assert _results(tmp_path / "in")[0] == 2
    assert _results(out, "--columns", "nothing")[0] == 2


def _results(*words: object) -> tuple[int, str]:
    answer = CliRunner().invoke(app, ["results", *map(str, words)])
    return answer.exit_code, answer.stdout
