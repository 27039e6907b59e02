"""Each family of outputs against what others made of it: whole results, up to the pixel and the order."""
