"""Search spaces: a question, the configurations that may answer it, and published numbers.

Each space is one file here, `searchspaces/NAME.py`, or a file of the user's. A space knows
nothing of Ray.
"""

from searchspaces.space import Published, SearchSpace

__all__ = ["Published", "SearchSpace"]
