"""How large a document may be: each limit far above what networks need, so that a stranger's costs little.

They hold for JSON text, files and dicts alike, are checked before memory is taken for what lies beyond them,
and stand in the exported JSON Schema where it can say them.
"""

from __future__ import annotations

MOST_BYTES = 16 * 2**20
"""Bytes of JSON, or characters of a text or dict: 100,000 labels with long names, indented, are 12 MB."""

MOST_NESTING = 64
"""Objects and lists inside of each other, the document itself included: its own fields need ten."""

MOST_DIGITS = 640
"""Digits of an integer: the least that Python converts whatever `sys.set_int_max_str_digits` says."""

MOST_FIELDS = 1_000
"""Fields of an object that are no part of the schema: servers add a few."""

MOST_FREE_VALUES = 100_000
"""Values inside of a spec's `metadata`, or of one field that the schema does not know."""

LONGEST_NAME = 1_000
"""Characters of a name, of a label, a tensor, a field: those of TensorFlow's scopes reach a few hundred."""

LONGEST_TEXT = 100_000
"""Characters of a description: a long article."""

MOST_OUTPUTS = 1_000
"""Outputs of a spec, post-processings of a version: multi-task networks have dozens."""

MOST_LABELS = 100_000
"""Labels and thresholds of an output: LVIS has 1,203, ImageNet-21k 21,841, PlantCLEF 80,000."""

MOST_ANCHORS = 100
"""Anchors of the YOLO kinds: YOLOv4's have 12."""

MOST_GRIDS = 5
"""Grids of YOLOv3 and v4: as many as YOLOv4's largest variant has, and as a kernel takes."""

MOST_STRIDES = 16
"""Grids of YOLOX: it has three or four."""

MOST_LEVELS = 6
"""Levels of a head with tensors of each: as many as from a stride of 4 to 128, and as a kernel takes."""

MOST_BINS = 1_000
"""Bins of a distance: GFL's are 17, those of D-FINE 33."""

MOST_PRIORS = 100_000
"""Priors that lie in a document: SSD512 has 24,564, FaceBoxes at 1024 pixels 21,824."""

MOST_CHANNELS = 500_000
"""Scales of a quantised tensor: one a channel, of which there may be four a label and some more."""

MOST_QUANTIZED = 100
"""Tensors of an output that are quantised: five kinds of them for each of six levels are 30."""

MOST_KEYPOINTS = 1_000
"""Keypoints of a box: COCO-WholeBody has 133, MediaPipe's face mesh 478."""

MOST_LIMBS = 10_000
"""Pairs of keypoints that are joined: COCO's skeleton has 19, MediaPipe's face mesh 2,556."""

MOST_INPUTS = 16
"""Input tensors of a network: one or two, rarely more."""

MOST_PIXELS = 100_000_000
"""Pixels of all image inputs together: more than Pillow's own limit for an image, 89,478,485."""

MOST_AXES = 16
"""Axes of a constant input: NumPy takes 32 at least, networks five."""

MOST_ELEMENTS = 100_000
"""Numbers of a constant input: sizes of the image are three."""

MOST_PROBLEMS = 50
"""Problems that an error lists: as many as a reader follows."""
