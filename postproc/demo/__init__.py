"""A digit detector, trained by this repository, to try postproc on a real network."""
