"""Peak memory of COCO's numbers beyond the detections and the ground truth, in bytes; Linux only.

``python -m benchmarks.probes.evaluation IMAGES DETECTIONS``, under `memory.ENVIRONMENT`.
"""

from __future__ import annotations

import sys

from benchmarks.data.evaluation import coco_like
from benchmarks.peers.evaluation import ours
from benchmarks.probes.memory import peak

if __name__ == "__main__":
    images, detections = map(int, sys.argv[1:])
    sys.stdout.write(str(peak(ours(coco_like(images, detections)))))
