"""Text of DICOM headers in UTF-8, so that names survive in every object that is written from them.

Source files use any character set, several at a time (``['', 'ISO 2022 IR 87']``), and some that
other libraries refuse to write. Objects made here use ISO_IR 192 alone.
"""

from __future__ import annotations

import copy

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

__all__ = ["UTF8", "unicode_header"]

UTF8 = "ISO_IR 192"
#: Value representations that hold words of so many bytes: their order is that of the file.
_WORDS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8}


def unicode_header(header: Dataset) -> Dataset:
    """A copy of a header with all text decoded and declared as UTF-8, private elements left out.

    Args:
        header: as it was read; it is not changed.
    """
    out = _without_encoding(header)
    out.remove_private_tags()
    out.decode()  # every element, in items of sequences too, by the set that was declared for it
    out.walk(_fresh_names)
    out.walk(_undeclared)
    out.SpecificCharacterSet = UTF8
    return out


def _without_encoding(header: Dataset) -> Dataset:
    """A copy that forgets the byte order of its file: objects made from it are little endian."""
    big = header.original_encoding[1] is False
    out = Dataset()
    for element in copy.deepcopy(header):  # read element by element, by the file's own encoding
        if big and element.VR in _WORDS and isinstance(element.value, bytes):
            words = np.frombuffer(element.value, f">u{_WORDS[element.VR]}")
            element.value = words.astype(f"<u{_WORDS[element.VR]}").tobytes()
        elif element.VR == "SQ":
            element.value = Sequence([_without_encoding(item) for item in element.value or []])
        out.add(element)
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
