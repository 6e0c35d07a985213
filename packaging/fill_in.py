"""Write the recipes with the sum and the address of a released sdist, to ``dist/recipes``.

python packaging/fill_in.py dist/ashtune-0.2.0.tar.gz --address ADDRESS
"""

import argparse
import hashlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "dist" / "recipes"
RECIPES = (HERE / "conda-forge" / "recipe.yaml", HERE / "spack" / "package.py")
FIRST_LINE = "# @"
"""How the line begins that says of a recipe here that it is to be filled in."""


def filled(recipe: str, *, sha256: str, address: str) -> str:
    """Return a recipe with what is known of a release."""
    lines = [line for line in recipe.splitlines(keepends=True) if not line.startswith(FIRST_LINE)]
    return "".join(lines).replace("@SHA256@", sha256).replace("@ADDRESS@", address)


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sdist", type=Path, help="the file, as the index gives it")
    parser.add_argument("--address", required=True, help="where it was downloaded from")
    given = parser.parse_args()
    sha256 = hashlib.sha256(given.sdist.read_bytes()).hexdigest()
    OUT.mkdir(parents=True, exist_ok=True)
    for recipe in RECIPES:
        (OUT / recipe.name).write_text(
            filled(recipe.read_text(), sha256=sha256, address=given.address)
        )
        print(OUT / recipe.name)


if __name__ == "__main__":
    main()
