"""Keep an estimator of scikit-learn in the checkpoints of a run, without pickle.

A resumed training has the numbers of an undisturbed one: an estimator keeps its own random state,
and NumPy's global one, which it uses with `random_state=None`, is saved with the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skops import io


class Estimator:
    """A part of `run.resume`: `part.model` is the estimator, another object after a resume.

    `trusted` names classes of other libraries than scikit-learn that are a part of it.
    """

    def __init__(self, model: Any, trusted: tuple[str, ...] = ()) -> None:
        self.model, self.trusted = model, trusted

    def save(self, path: Path) -> None:
        """Write the estimator in the format of skops."""
        io.dump(self.model, path)

    def load(self, path: Path) -> None:
        """Read it again; raises UntrustedTypesFoundException for an unknown class."""
        unknown = io.get_untrusted_types(file=path)
        own = [name for name in unknown if name.startswith("sklearn.") or name in self.trusted]
        self.model = io.load(path, trusted=own)
