"""For all tests: Hypothesis judges facts, not the speed of a shared machine; and Ctrl-C is heard.

A shell has what it runs in the background ignore Ctrl-C, and all that it starts inherits that.
"""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("ashtune", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ashtune")
signal.signal(signal.SIGINT, signal.default_int_handler)
