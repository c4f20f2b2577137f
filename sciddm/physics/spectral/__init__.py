"""Hyperspectral sensors: noise, stripes and defects of a cube."""
