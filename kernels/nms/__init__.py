"""Suppression of boxes by their overlap."""
