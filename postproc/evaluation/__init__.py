"""Measure a recognition version on a data set, and choose its thresholds from data."""
