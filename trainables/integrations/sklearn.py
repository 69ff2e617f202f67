"""Keep an estimator of scikit-learn in the checkpoints of a run, without pickle.

A resumed training has the numbers of an undisturbed one: an estimator keeps its random state, and
NumPy's global one is saved with the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skops import io

from trainables.errors import TaskError


class Estimator:
    """A part of `run.resume`, which replaces its `model`; `trusted` are classes not of sklearn."""

    def __init__(self, model: Any, trusted: tuple[str | type, ...] = ()) -> None:
        self.model, self._types = model, list[str]()
        self.known = [f"{t.__module__}.{t.__name__}" if callable(t) else t for t in trusted]

    def save(self, path: Path) -> None:
        """Write the estimator in the format of skops; raises TaskError for an unknown class."""
        io.dump(self.model, path)
        self._types = self._types or self._list_types(path)

    def load(self, path: Path) -> None:
        """Read it again; raises TaskError for an unknown class."""
        self.model = io.load(path, trusted=self._list_types(path))

    def _list_types(self, path: Path) -> list[str]:
        types: list[str] = io.get_untrusted_types(file=path)
        for name in types:
            if not name.startswith("sklearn.") and name not in self.known:
                fix = f"Estimator(model, trusted=({name.rpartition('.')[2]},))"
                raise TaskError(f"an estimator has {name}: it is loaded again only with {fix}")
        return types
