"""Benchmarks of postproc beside its peers, and the ratios that it must reach."""
