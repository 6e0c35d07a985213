"""XLA's options for programs whose compiling should cost little."""

from collections.abc import Mapping
from typing import Any

QUICKLY = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}
"""On the CPU: compiling takes 0.6 of the time, an epoch of the demo's network 1.05 to 1.2 times as long."""
CHEAPLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""For what runs once, as making initial states: compiling them takes 0.14 s, with the first option alone 0.29 s."""


def compile_with(lowered: Any, options: Mapping[str, Any]) -> Any:
    """Compile a lowered JAX function; without options that this version of XLA does not know: they save time only."""
    try:
        return lowered.compile(compiler_options=dict(options))
    except Exception as error:
        if not options or "No such compile option" not in str(error):
            raise
        return lowered.compile()
