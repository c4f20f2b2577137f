"""What a domain declares as text, and what the engine makes of it."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import pytest
import toy_domain

from sciddm.errors import InputError, OptionError, OutputError
from sciddm.pipelines.domains import DOMAINS
from sciddm.pipelines.engine.batch import named_items
from sciddm.pipelines.engine.calls import on_data, on_path, on_result
from sciddm.pipelines.engine.comparison import agreement
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.deferred import deferred
from sciddm.pipelines.engine.option import Option, two_numbers
from sciddm.pipelines.engine.target import Saving, Target

NAMING = ("deferred", "on_path", "on_data", "on_result")


def evaluated(node: ast.expr, module: Any) -> Any:
    return eval(compile(ast.Expression(node), "<requests>", "eval"), vars(module))


def named_functions(domain: str) -> Iterator[tuple[str, list[str]]]:
    """Every function that a domain names as text, and the keywords that it is called with."""
    module = importlib.import_module(f"sciddm.pipelines.{domain}.requests")
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in NAMING:
            keywords = [a.value for a in node.args[1:] if isinstance(a, ast.Constant)]
            for keyword in node.keywords:
                value = evaluated(keyword.value, module)
                # ``**names`` are parameters; ``source`` names one.
                parameters = value if keyword.arg is None else [keyword.arg]
                keywords += [value] if keyword.arg == "source" else parameters
            yield evaluated(node.args[0], module), keywords


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_function_that_is_named_is_there_and_takes_its_options(domain: str) -> None:
    count = 0
    for name, keywords in named_functions(domain):
        module, _, function = name.partition(":")
        found = attrgetter(function)(importlib.import_module(module))
        assert set(keywords) <= set(inspect.signature(found).parameters), name
        count += 1
    assert count > 8


class Scale(toy_domain.Smooth):
    """Another default."""

    width: Annotated[int, Option("Width of the window.", ge=1)] = 5


def test_options_reach_the_parameters_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def record(*args: Any, **options: Any) -> tuple[Any, Any]:
        calls.append((args, options))
        return args, options

    monkeypatch.setattr(toy_domain, "record", record, raising=False)
    request = toy_domain.Smooth.of({"width": 7, "seed": 3})
    opened = on_path("toy_domain:record", "width", start="seed")(Path("a"), request)
    assert opened == ((Path("a"),), {"width": 7, "start": 3})
    context = Context()
    computed = on_data("toy_domain:record", "seed")("data", request, context)
    assert computed == (("data",), {"seed": 3, "progress": context.progress})
    saving = Saving(request, Path("in"), {Path("a"): Path("b")})
    on_result("toy_domain:record", "width", source="origin")("result", Path("a"), saving)
    arguments = ("result", Path("a"), saving.at)
    assert calls[-1] == (arguments, {"origin": Path("in"), "width": 7})
    assert request.without("draws", "unit", "seed") == {"width": 7, "quality": "balanced"}


def test_a_method_of_a_class_is_deferred() -> None:
    assert deferred("pathlib:Path.joinpath")(Path("a"), "b") == Path("a/b")


def test_a_verb_with_another_request_does_the_same_work(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join("1234567"))
    wide = toy_domain.smooth_verb.of(Scale)
    assert wide.name == "scale"
    ours = wide(tmp_path / "a.txt", seed=1).estimate
    assert ours.equals(toy_domain.smooth_verb(tmp_path / "a.txt", width=5, seed=1).estimate)
    assert not ours.equals(toy_domain.smooth_verb(tmp_path / "a.txt", seed=1).estimate)


def test_items_by_their_names(tmp_path: Path) -> None:
    """NAME_std is what lies beside NAME, and an item where there is no NAME."""
    for name in ("a.nii.gz", "a_std.nii.gz", "b_std.nii", "c.txt", ".d.nii"):
        (tmp_path / name).touch()
    (tmp_path / "e.zarr").mkdir()
    (tmp_path / "1.2.3").mkdir()
    read = (".nii.gz", ".nii", ".zarr")
    items, many = named_items(tmp_path, read, lambda p: p.name == "1.2.3", ("_std",))
    assert many
    assert {name: p.name for name, p in items.items()} == {
        "1.2.3": "1.2.3", "a": "a.nii.gz", "b_std": "b_std.nii", "e": "e.zarr",
    }  # fmt: skip
    for name, stem in (("e.zarr", "e"), ("a_std.nii.gz", "a_std"), ("1.2.3", "1.2.3")):
        one = named_items(tmp_path / name, read, lambda p: p.name == "1.2.3", ("_std",))
        assert one == ({stem: tmp_path / name}, False)


def test_an_output_is_a_folder_unless_its_name_says_otherwise() -> None:
    parts: Any = (lambda path, request: [path], lambda result, path, saving: None, (".nii.gz",))
    target: Target[Any] = Target(*parts, series=".dcm")
    for name, suffix in (("a", ".dcm"), ("1.2.3", ".dcm"), ("a.NII.GZ", ""), ("a.json", "")):
        assert target.series_of(Path(name)) == suffix
    assert Target(*parts).series_of(Path("a")) == ""


def test_a_format_without_a_place_for_the_data_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fits(data: Any, path: Path) -> None:
        raise OutputError(f"{path}: {data.sizes['time']} values do not fit")

    verb = toy_domain.smooth_verb.of(toy_domain.Smooth)
    verb.target = Target(toy_domain.outputs, toy_domain.save, (".txt",), fits=fits)
    monkeypatch.setattr(verb, "compute", lambda *parts: pytest.fail("computed"))
    (tmp_path / "a.txt").write_text("1\n2\n")
    context = Context(target=tmp_path / "b.txt")
    request = toy_domain.Smooth.of({})
    with pytest.raises(OutputError, match=r"b\.txt: 2 values do not fit"):
        verb.result(tmp_path / "a.txt", request, context)


def test_two_numbers() -> None:
    assert two_numbers("depth", "5-45.5", "-", float, "two") == (5.0, 45.5)
    for text in ("5", "5-45-7", "a-b", "", "3.5-4"):
        with pytest.raises(OptionError, match=f"^depth: {text} is given, take two, such as 5-45"):
            two_numbers("depth", text, "-", int, "two, such as 5-45")


def test_a_comparison_needs_its_reference_and_passes_options_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evaluate compares with a reference"):
        toy_domain.evaluate.scores(None, tmp_path, toy_domain.Evaluate.of({}))
    for name, text in (("true", "1\n2\n"), ("raw", "1\n4\n"), ("smooth", "1\n2\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    estimates = {"before": tmp_path / "raw.txt", "after": tmp_path / "smooth.txt"}
    columns = {"rmse": ("RMSE", "{:.2f} K"), "absent": ("absent", "{}")}
    facts = agreement(toy_domain.evaluate, tmp_path / "true.txt", estimates, columns)
    assert [(f.key, f.label, f.text) for f in facts] == [
        ("before_rmse", "RMSE, before", "1.41 K"),
        ("after_rmse", "RMSE, after", "0.00 K"),
    ]
