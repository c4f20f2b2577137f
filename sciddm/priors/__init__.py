"""Priors made of others, and what goes before or behind one."""
