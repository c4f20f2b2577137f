from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.errors import InputError, OutputError
from sciddm.pipelines.engine.batch import Job, Outcome, make_folder, one_line, plan, run, stem

FORMATS = {"read": (".h5", ".zarr"), "written": (".nii.gz", ".h5"), "suffix": ".nii.gz"}


def pairs(*arguments, **options) -> dict[str, str]:
    planned = plan(*arguments, **FORMATS, **options)
    return {job.source.name: str(job.target) for job in planned.jobs}


def test_one_file_keeps_the_output_it_was_given() -> None:
    planned = plan([Path("a.h5")], Path("out/b.h5"), **FORMATS)
    assert planned.jobs == (Job(Path("a.h5"), Path("out/b.h5")),)
    assert not planned.batch


def test_one_file_into_an_existing_folder(tmp_path: Path) -> None:
    assert pairs([Path("x/a.h5")], tmp_path) == {"a.h5": str(tmp_path / "a.nii.gz")}


def test_a_folder_is_its_scans_in_order_without_other_files(tmp_path: Path) -> None:
    for name in ("b.h5", "a.H5", ".hidden.h5", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.h5").touch()
    planned = plan([tmp_path], tmp_path / "out", **FORMATS)
    assert planned.batch
    assert [job.source.name for job in planned.jobs] == ["a.H5", "b.h5", "c.zarr"]
    assert [job.target.name for job in planned.jobs] == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]


def test_a_zarr_folder_is_one_scan(tmp_path: Path) -> None:
    scan = tmp_path / "s.zarr"
    scan.mkdir()
    assert not plan([scan], Path("o.h5"), **FORMATS).batch


def series(folder: Path) -> bool:
    return (folder / "slice").exists()


def test_a_folder_may_be_one_data_set_whatever_its_name(tmp_path: Path) -> None:
    for name in ("in/1.2.840", "in/thorax", "mine"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "slice").touch()
    (tmp_path / "in" / "papers").mkdir()
    (tmp_path / "in" / "a.h5").touch()
    inside = tmp_path / "in"
    options = {"whole": series, "whole_kind": "series"}
    one = plan([inside / "thorax"], tmp_path / "new", **FORMATS, **options)
    assert (one.batch, one.jobs[0].target) == (False, tmp_path / "new")
    # an existing one is what is written to, not into
    again = plan([inside / "thorax"], tmp_path / "mine", **FORMATS, **options)
    assert again.jobs[0].target == tmp_path / "mine"
    many = plan([inside], tmp_path / "out", **{**FORMATS, "suffix": None}, **options)
    assert [job.target.name for job in many.jobs] == ["1.2.840", "a.h5", "thorax"]
    with pytest.raises(InputError, match="no series and no file named"):
        plan([inside / "papers"], tmp_path / "out", **FORMATS, **options)


@pytest.mark.parametrize(
    ("inputs", "output", "said"),
    [
        (["a.h5", "b.h5"], "out.nii.gz", "need a folder"),
        (["x/a.h5", "y/a.h5"], "out", "both be written"),
        ([], "out", "no input"),
    ],
)
def test_what_cannot_be_planned(inputs: list[str], output: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan([Path(p) for p in inputs], Path(output), **FORMATS)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no file"):
        plan([tmp_path], tmp_path / "out", **FORMATS)


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=6))
def test_outputs_are_one_to_one(names: list[str]) -> None:
    sources = [Path(f"{name}.h5") for name in names]
    planned = plan(sources, Path("nowhere"), **FORMATS)
    targets = [job.target for job in planned.jobs]
    assert len(set(targets)) == len(targets) == len(set(names))


def test_outputs_may_keep_the_suffix_of_their_inputs(tmp_path: Path) -> None:
    sources = [Path("x/a.H5"), Path("x/b.zarr")]
    options = {**FORMATS, "suffix": None}
    planned = plan(sources, tmp_path / "out", **options)
    # What cannot be written is written in the first format that can.
    assert [job.target.name for job in planned.jobs] == ["a.H5", "b.nii.gz"]
    # What lies beside them would be one file, a.json: both keep what tells them apart.
    planned = plan([Path("x/a.h5"), Path("x/a.zarr")], tmp_path / "out", **options)
    assert [job.target.name for job in planned.jobs] == ["a_h5.h5", "a_zarr.nii.gz"]


def test_an_input_is_never_its_own_output(tmp_path: Path) -> None:
    source = tmp_path / "a.h5"
    source.touch()
    options = {**FORMATS, "suffix": None}
    for inputs, output in (([source], source), ([tmp_path], tmp_path), ([source], tmp_path)):
        with pytest.raises(InputError, match="is the input itself"):
            plan(inputs, output, **options)


def test_stem_takes_the_longest_suffix() -> None:
    assert stem(Path("x/scan.nii.gz"), (".gz", ".nii.gz")) == "scan"
    assert stem(Path("scan.v2.h5"), (".h5",)) == "scan.v2"


def test_a_failure_stops_nothing_and_finished_work_is_not_repeated() -> None:
    jobs = [Job(Path(n), Path(n + ".out")) for n in "abcd"]
    worked = []

    def work(job: Job) -> Outcome:
        worked.append(job.source.name)
        if job.source.name == "b":
            raise InputError("b: two\n lines")
        if job.source.name == "c":
            raise ZeroDivisionError("what")
        return Outcome(job, "done")

    outcomes = run(
        jobs,
        work,
        finished=lambda job: Outcome(job, "skipped") if job.source.name == "a" else None,
    )
    assert [o.status for o in outcomes] == ["skipped", "failed", "failed", "done"]
    assert worked == ["b", "c", "d"]
    assert outcomes[1].error == "b: two lines"
    assert outcomes[2].error == "unexpected ZeroDivisionError: what"


def test_one_line_of_an_exception_without_words() -> None:
    assert one_line(MemoryError()) == "unexpected MemoryError"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file/out: cannot be made"):
        make_folder(tmp_path / "file" / "out")
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
