"""ONNX networks on ONNX Runtime, alone or followed by their post-processing."""

from postproc.onnx_runner.device import DevicePostProcessor
from postproc.onnx_runner.runner import OnnxRunner

__all__ = ["DevicePostProcessor", "OnnxRunner"]
