"""For all tests: Hypothesis judges facts, not the speed of a shared machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("ashtune", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ashtune")
