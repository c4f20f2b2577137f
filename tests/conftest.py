"""What all tests share: files are read without isolation, which has tests of its own."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("SCIDDM_ISOLATION", "off")

# The same examples at each run, so that a change fails by what it changed.
# `HYPOTHESIS_PROFILE=search make test` looks for new ones.
settings.register_profile("repeat", derandomize=True)
settings.register_profile("search", max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))
