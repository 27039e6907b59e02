"""Random documents with the tensors they need: small, and full of what goes wrong.

A seeded generator gives the numbers and a ``pick`` the structure (how many labels, which format,
which threshold): hypothesis's choices in `tests.strategies`, the same generator in `builder.random_case`.
"""
