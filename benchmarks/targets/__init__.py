"""What postproc must reach, as ratios within one run: ``python -m benchmarks.targets``."""
