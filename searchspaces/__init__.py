"""Search spaces: a question, the configurations that may answer it, and published numbers.

Each space is a file here, `searchspaces/NAME.py`, or a file of the user.
"""

from searchspaces.space import (
    Published,
    SearchSpace,
    Trial,
    Values,
    get_defaults,
    suggest_learning_rate,
)

__all__ = [
    "Published",
    "SearchSpace",
    "Trial",
    "Values",
    "get_defaults",
    "suggest_learning_rate",
]
