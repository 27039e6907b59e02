"""The moment of a new process's first result, on the clock that all processes share.

Given a file with YOLOv8's tensor 84 x 8400. Imports nothing that a user's own script would not.
"""

import sys
import time

import numpy as np

from postproc import PostProcessor, Yolov8Output

post = PostProcessor.for_detection(
    [f"label {row}" for row in range(80)],
    Yolov8Output(output_tensor="tensor"),
    thresholds=0.25,
    nms_threshold=0.5,
    input_size=[640, 640],
)
batch = post({"tensor": np.load(sys.argv[1])})
moment = time.monotonic()
assert len(batch.outputs[0].scores)
sys.stdout.write(repr(moment))
