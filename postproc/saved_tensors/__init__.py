"""Tensors of networks in files: written once, read by evaluations as often as wanted."""
