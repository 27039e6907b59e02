"""From images to the input tensors of a network, by v0.7's preprocessing object, and drawings of results."""

from postproc.images.loading import ImageSource, load_image
from postproc.images.preprocessor import PreparedBatch, Preprocessor, default_preprocessing

__all__ = ["ImageSource", "PreparedBatch", "Preprocessor", "default_preprocessing", "load_image"]
