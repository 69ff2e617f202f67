"""Search spaces: a question, the configurations that may answer it, and published numbers.

Each space is a file here, `searchspaces/NAME.py`, or a file of the user.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from searchspaces.space import (
        Published,
        PublishedOrder,
        SearchSpace,
        Trial,
        Values,
        get_defaults,
        suggest_learning_rate,
    )

__all__ = [
    "Published",
    "PublishedOrder",
    "SearchSpace",
    "Trial",
    "Values",
    "get_defaults",
    "suggest_learning_rate",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is used: listing the spaces takes no second for torch."""
    if name in __all__:
        return getattr(importlib.import_module("searchspaces.space"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
