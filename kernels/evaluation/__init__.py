"""Matching, cutting and counting for metrics."""
