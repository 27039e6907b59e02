"""Golden cases of post-processing, for every library: see README.md beside this file."""
