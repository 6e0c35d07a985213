"""What the package offers is what it says, whoever was imported before."""

import subprocess
import sys

CODE = """
import importlib, pkgutil
import ashtune

for module in pkgutil.walk_packages(ashtune.__path__, "ashtune."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in ashtune.__all__:
    print(name, type(getattr(ashtune, name)).__name__)
"""


def test_no_module_hides_a_public_name() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    kinds = dict(line.split() for line in done.stdout.splitlines())
    assert {kinds.pop(name) for name in ("fused", "fused_torch", "tune")} == {"function"}
    assert kinds.pop("__version__") == "str"
    assert set(kinds.values()) <= {"type", "ABCMeta", "StructMeta"}
