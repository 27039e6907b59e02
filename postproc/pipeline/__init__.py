"""The pipeline: a spec and a version, compiled; tensors in, results out."""

from postproc.pipeline.post_processor import PostProcessor

__all__ = ["PostProcessor"]
