# @SHA256@ is filled in at a release: see README.md of the folder above.
from spack.package import *
from spack_repo.builtin.build_systems.python import PythonPackage


class PyAshtune(PythonPackage):
    """Hyperparameter tuning by asynchronous sequential halving, on every core."""

    pypi = "ashtune/ashtune-0.2.0.tar.gz"

    license("Apache-2.0")

    version("0.2.0", sha256="@SHA256@")

    variant("mpi", default=True, description="Run on the ranks of an MPI job")

    depends_on("python@3.11:", type=("build", "run"))
    depends_on("py-hatchling", type="build")

    depends_on("py-msgspec@0.19:", type=("build", "run"))
    depends_on("py-numpy@1.26:", type=("build", "run"))
    depends_on("py-scipy@1.11:", type=("build", "run"))
    depends_on("py-cloudpickle@3.0:", type=("build", "run"))
    depends_on("py-rich@13.7:", type=("build", "run"))

    depends_on("py-mpi4py@4.1:", when="+mpi", type=("build", "run"))
