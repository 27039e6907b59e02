"""The ways from a network's tensors to detections and classifications, a file a family."""
