"""Differential fuzzing: random versions, specs and tensors of every kind of output, whole and broken.

Whole ones must give what the slow reference gives, index for index; of broken ones each mutation of the
registry knows the error that they must raise. ``python -m tests.fuzz --seconds 600``; a finding prints the
command that repeats it, such as ``python -m tests.fuzz --case yolov8:12345:rank_too_large``.
"""
