"""Writing outputs as one commit (see ``sciddm.storage``): checked before, with checksums after."""

from sciddm.data_adapters.commit.checksums import Check, verify
from sciddm.data_adapters.commit.transaction import commit
from sciddm.storage import BusyError, Claim, claim, recover

__all__ = ["BusyError", "Check", "Claim", "claim", "commit", "recover", "verify"]
