"""Hypothesis has no time limits here: machines are shared, and the first example of a kind compiles."""

from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
