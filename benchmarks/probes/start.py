"""A new process to its first result.

Given a file with YOLOv8's tensor 84 x 8400, and a spec and a version if it is to read documents. Imports
nothing that a user's own script would not.
"""

import sys

import numpy as np

from postproc import PostProcessor, Yolov8Output

if sys.argv[2:]:
    post = PostProcessor(*sys.argv[2:])
else:
    post = PostProcessor.for_detection(
        [f"label {row}" for row in range(80)],
        Yolov8Output(output_tensor="tensor"),
        thresholds=0.25,
        nms_threshold=0.5,
        input_size=[640, 640],
    )
batch = post({"tensor": np.load(sys.argv[1])})
assert len(batch.outputs[0].scores)
