"""Benchmarks against peers: one command each, results as a table with the command that made it."""
