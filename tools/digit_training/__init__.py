"""Training of the demo's networks: `python tools/train_digits.py`."""
