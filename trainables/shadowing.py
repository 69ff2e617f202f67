"""Find folders that Python takes for Tunery's packages: `python -m` looks into this folder first.

Needs nothing but the standard library, since it runs before anything else.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("cluster", "reports", "searchspaces", "trainables")
HERE = Path(__file__).resolve()
HOME = HERE.parents[1]
"""The folder that contains Tunery's packages."""


def find_shadows(folder: Path) -> list[Path]:
    """Return what in a folder Python takes for a package of Tunery: folders and modules."""
    named = [folder / name for name in PACKAGES]
    found = [path for path in named if (path / "__init__.py").is_file() or _hides_by_name(path)]
    modules = [path.with_suffix(".py") for path in named if path.with_suffix(".py").is_file()]
    return [path for path in (*found, *modules) if path.resolve() != HOME / path.name]


def _hides_by_name(path: Path) -> bool:
    # Without an `__init__.py`, a folder adds to an installed package, or stands in for the
    # `__init__.py` of one that is not copied: only that of searchspaces has something in it.
    return path.name == "searchspaces" and path.is_dir()


def check_packages() -> None:
    """Raise ImportError where something else would be imported as a package of Tunery."""
    for name in PACKAGES:
        spec = None if name in sys.modules else find_spec(name)
        if spec is None:
            continue
        place = Path(
            next(iter(spec.submodule_search_locations or ()), spec.origin or "")
        ).resolve()
        # An exported model has a copy of what it needs, and is loaded beside an installation.
        is_copy = (place.parent / HERE.relative_to(HOME)).is_file()
        if place != HOME / name and not is_copy and (spec.origin or _hides_by_name(place)):
            raise ImportError(
                f"{place} hides Tunery's package {name}, which is in {HOME / name}: rename it, "
                "run the command in another folder, or use the command tunery",
                name="trainables",
            )
