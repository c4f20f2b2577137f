"""How threads wait: briefly, unless the user decides otherwise."""

from __future__ import annotations

import os

import pytest

from sciddm.pipelines.engine.threads import wait_briefly

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def test_threads_sleep_soon_by_default(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    wait_briefly()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_the_user_has_the_last_word(monkeypatch, name):
    for other in NAMES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "7")
    wait_briefly()
    assert {n: os.environ.get(n) for n in NAMES} == {n: "7" if n == name else None for n in NAMES}
