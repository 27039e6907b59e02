"""What every family of kernels is built of: scores, candidates, boxes and their survivors."""
