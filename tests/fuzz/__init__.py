"""Damaged files for every reader: `make fuzz`, or `python -m tests.fuzz --count 20000`."""
