"""Pipelines: from a file someone measured to a result someone can judge, one folder per domain.

A domain is a folder with

    requests.py     the verbs with their options, and the `DOMAIN`
    pipeline.py     a `Pipeline`: measured data in, estimate with its uncertainty out
    page.py         what its report shows
    demo.py         a simulated measurement

and is listed in `domains.DOMAINS`. Everything else (commands, batches, resuming, summaries, the
page a report is printed on) is the engine's.
"""

from __future__ import annotations

from pathlib import Path

from sciddm.pipelines.engine.hints import set_adviser


def _elsewhere(path: Path, domain: str, verb: str) -> str:
    # All domains are loaded only where a file cannot be read.
    from sciddm.pipelines.elsewhere import elsewhere

    return elsewhere(path, domain, verb)


set_adviser(_elsewhere)
