"""Post-processing as a graph of ONNX's operators, for runtimes and devices that the kernels do not reach.

The best K candidates of an image are compared with each other: `selection`, then boxes of those alone by a
function of `heads`, `suppression`, and `finishing`. Where more than K pass their thresholds, rows may be
missing: the graph says so itself, in its output ``complete`` (`to_onnx`).
"""

from __future__ import annotations

from postproc.fusing.appending import append
from postproc.fusing.fuse import to_onnx, unsupported
from postproc.fusing.options import FuseOptions

__all__ = ["FuseOptions", "append", "to_onnx", "unsupported"]
