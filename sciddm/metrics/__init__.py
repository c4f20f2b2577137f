"""How good an estimate is, against a reference or on its own."""
