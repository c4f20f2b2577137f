"""Text of DICOM headers in UTF-8, so that names survive in every object that is written from them.

Source files use any character set, several at a time (``['', 'ISO 2022 IR 87']``), and some that
other libraries refuse to write. Objects made here use ISO_IR 192 alone.
"""

from __future__ import annotations

import copy

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

__all__ = ["UTF8", "unicode_header"]

UTF8 = "ISO_IR 192"


def unicode_header(header: Dataset) -> Dataset:
    """A copy of a header with all text decoded and declared as UTF-8, private elements left out.

    Args:
        header: as it was read; it is not changed.
    """
    out = copy.deepcopy(header)
    out.remove_private_tags()
    out.decode()  # every element, in items of sequences too, by the set that was declared for it
    out.walk(_fresh_names)
    out.walk(_undeclared)
    out.SpecificCharacterSet = UTF8
    return out


def _fresh_names(dataset: Dataset, element: DataElement) -> None:
    """Names as text: pydicom keeps their bytes, and would write those again."""
    if element.VR != "PN" or element.value is None:
        return
    if isinstance(element.value, PersonName):
        element.value = PersonName(str(element.value), encodings=["utf8"])
    elif not isinstance(element.value, str):
        element.value = [PersonName(str(v), encodings=["utf8"]) for v in element.value]


def _undeclared(dataset: Dataset, element: DataElement) -> None:
    if element.VR == "SQ":
        for item in element.value or []:
            if "SpecificCharacterSet" in item:
                del item.SpecificCharacterSet
