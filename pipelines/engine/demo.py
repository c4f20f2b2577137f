"""What ``sciddm demo DOMAIN`` does: simulate, then exactly what the command line would do."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from sciddm.errors import InputError
from sciddm.pipelines.engine.agreement import AGREEMENT
from sciddm.pipelines.engine.batch import Job, make_folder
from sciddm.pipelines.engine.console import output, say
from sciddm.pipelines.engine.domain import Domain
from sciddm.pipelines.engine.item import Item
from sciddm.pipelines.engine.progress_bar import progress_bar
from sciddm.pipelines.engine.result import outputs_of
from sciddm.pipelines.engine.summary import show

__all__ = ["run_demo"]


def run_demo(domain: Domain, folder: Path, quality: str) -> None:
    """Simulates a measurement, writes it, runs the demo's verb on it with a report, and shows it.

    Args:
        domain: whose demo.
        folder: made if it is not there; results of an earlier demo in it are replaced.
        quality: fast, balanced or best.

    Raises:
        InputError: the domain has no demo.
        ModelError: the bundled model is missing.
        OutputError: the folder cannot be written.
    """
    demo = domain.demo
    if demo is None:
        raise InputError(f"no demo for {domain.name!r}")
    verb = demo.verb
    # Before anything is written; what the simulation decides has no value yet.
    verb.prepare(verb.request.model_construct(quality=quality))
    make_folder(folder)
    say("note", f"simulating {demo.note}")
    example = demo.simulate(folder)
    reference = {} if example.reference is None else {"reference": example.reference}
    request = verb.request.of({**example.options, **reference, "quality": quality})
    start = time.perf_counter()
    item = Item(Job(example.source, example.target), request, overwrite=True, report=True)
    outcome = item.attempt(verb, partial(progress_bar, "demo"))
    outcome.seconds = time.perf_counter() - start
    for warning in outcome.warnings:
        say("warning", warning)
    truth = {fact.key: fact for fact in example.truth()}
    if truth:  # the same in the demo's own words
        outcome.facts = {k: f for k, f in outcome.facts.items() if not k.startswith(AGREEMENT)}
    outcome.facts.update(truth)
    outcome.outputs += example.simulated
    show([outcome], output())
    page = outputs_of(verb, example.target, request, report=True)[-1]
    output().print(f"\nOpen {page} in a browser to {demo.page} it.")
