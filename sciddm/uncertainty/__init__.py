"""How far a standard deviation holds, whether a model fits its input, and what data and samples
say of both: evidence and discrepancy."""
