"""A new process to its first result.

Given a file with YOLOv8's tensor 84 x 8400, and a spec and a version if it is to read documents.
"""

import sys

if sys.argv[2:]:
    import numpy as np

    from postproc import PostProcessor

    post, tensors = PostProcessor(*sys.argv[2:]), {"tensor": np.load(sys.argv[1])}
else:
    from yolov8 import post, tensors
batch = post(tensors)
assert len(batch.outputs[0].scores)
