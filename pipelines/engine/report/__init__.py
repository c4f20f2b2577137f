"""A result on one page."""
