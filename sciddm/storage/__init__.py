"""Outputs that appear together or not at all, whatever happens to the process or the disk.

A transaction works like a database's. All outputs of an item are written beside their targets, in
``FOLDER/.sciddm/TOKEN/``, and flushed to the disk. One journal then names the switch from old to
new. A process that is killed before the journal leaves the old outputs; one that is killed after
it leaves the new ones: the next start finishes the switch.

    FOLDER/.sciddm/lock             held for moments, by whoever changes the list of claims
    FOLDER/.sciddm/TOKEN/owner      who writes which outputs; locked as long as the process lives
    FOLDER/.sciddm/TOKEN/new/NAME   an output that is being written, under its own name
    FOLDER/.sciddm/TOKEN/journal    the switch: exists from the moment at which all is flushed
    FOLDER/.sciddm/TOKEN/old/NAME   what was replaced, until the switch is complete
"""

from sciddm.storage.claims import BusyError, Claim, claim, recover
from sciddm.storage.csv_text import csv_text, original_text
from sciddm.storage.durable import write_durably
from sciddm.storage.refusal import refusal, refusals_told
from sciddm.storage.transaction import transaction

__all__ = [
    "BusyError",
    "Claim",
    "claim",
    "csv_text",
    "original_text",
    "recover",
    "refusal",
    "refusals_told",
    "transaction",
    "write_durably",
]
