"""Many items at once: worker processes on this machine, or on those of a dask cluster.

A worker is a process that does one item after the other and keeps its models. It runs the same
code as a command without workers, on the same options, so that its outputs are the same bytes.
On a cluster each thread of a dask worker has one such process.
"""
