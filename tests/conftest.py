"""What all tests share: files are read without isolation, which has tests of its own."""

from __future__ import annotations

import os

os.environ.setdefault("SCIDDM_ISOLATION", "off")
