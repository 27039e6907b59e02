"""Post-processing as a graph: random cases run in ONNX Runtime beside the kernels."""
