"""The web page: an image dropped on it, boxes drawn, thresholds moved."""
