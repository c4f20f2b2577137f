"""Libraries in C read files in a process of their own, which may crash, hang or run out of memory.

One worker per process is started at the first file and stays. A function marked `isolated` runs
there; its arrays come back through shared memory. A worker that dies or exceeds its limits becomes
one `InputError`, and the next file gets a new one. The command line's first worker is a copy of its
process, made before torch is loaded; all others start Python anew.

``SCIDDM_ISOLATION=off`` runs everything in the caller, for debugging. ``SCIDDM_READ_SECONDS=60``
allows more processor time than 20 s for a file.
"""

from sciddm.data_adapters.isolation.call import copy_caller, isolated, prepare

__all__ = ["copy_caller", "isolated", "prepare"]
