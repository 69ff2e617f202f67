"""Run a search: `python -m trainables.tune --space NAME`, or `tune(...)` in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster.cli import main
from trainables.terminal import run_main

if TYPE_CHECKING:
    from cluster.api import tune
    from cluster.result import Result

__all__ = ["Result", "main", "tune"]


def __getattr__(name: str) -> Any:
    """Return `tune` or `Result`, whose imports take seconds that `--help` does not need."""
    if name == "tune":
        from cluster.api import tune

        return tune
    if name == "Result":
        from cluster.result import Result

        return Result
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    run_main(main)
