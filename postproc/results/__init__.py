"""Results as arrays over the whole batch; dicts, COCO and supervision objects on request.

Keypoints, masks and oriented boxes are in modules of their own, which are loaded when they are needed.
"""

from postproc.results.classifications import Classifications
from postproc.results.detections import Detections, PaddedDetections
from postproc.results.labels import LabelTable
from postproc.results.recognitions import Recognitions

__all__ = ["Classifications", "Detections", "LabelTable", "PaddedDetections", "Recognitions"]
