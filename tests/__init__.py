"""The tests of postproc: run them from the root of the repository."""
