"""YOLOv8's post-processor of 80 labels, and the tensor of the file that is named first.

Imports nothing that a user's own script would not: the probes beside it are timed.
"""

import sys

import numpy as np

from postproc import PostProcessor, Yolov8Output

post = PostProcessor.for_detection(
    [f"label {row}" for row in range(80)],
    Yolov8Output(output_tensor="tensor"),
    thresholds=0.25,
    nms_threshold=0.5,
    input_size=[640, 640],
)
tensors = {"tensor": np.load(sys.argv[1])}
