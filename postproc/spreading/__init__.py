"""Work on images and saved tensors, here or on a Ray cluster, for the same results in their order."""
