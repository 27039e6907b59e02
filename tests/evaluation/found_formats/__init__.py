"""Detections of anybody, read."""
