"""How far a standard deviation holds, and whether a model fits its input."""
