"""What the pages and docstrings say is run, and what they name is there."""
