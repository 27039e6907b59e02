"""The HTTP service: v0.7 recognition versions, created, listed, read, deleted and run."""
