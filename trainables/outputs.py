"""What a run writes of its best report beside the weights: predictions, and files for a report."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trainables import checkpoint
from trainables.errors import TaskError
from trainables.predictions import check_functions, find_line, read_predictions
from trainables.predictor import Predictions


@dataclass
class Outputs:
    """Functions that predict a split or write a file, and which of them are written already."""

    _writers: dict[str, Callable[[Path], None]] = field(default_factory=dict)
    _written: set[str] = field(default_factory=set)

    def add_predictions(self, functions: dict[str, Predictions]) -> None:
        """Register functions that predict a split, by the split's name."""
        for split, predict in check_functions(functions).items():

            def write(path: Path, split: str = split, predict: Predictions = predict) -> None:
                checkpoint.write_predictions(path, read_predictions(split, predict))

            self._add(f"{split}.parquet", write)

    def add_artifact(self, name: str, write: Callable[[Path], None]) -> None:
        """Register a function that writes a file of this name; raises ValueError for another."""
        if not re.fullmatch(r"[\w-]+\.(md|png|gif)", name):
            raise ValueError(f"an artifact is NAME.md, NAME.png or NAME.gif, not {name!r}")

        def write_file(path: Path) -> None:
            path.unlink(missing_ok=True)  # or that of an earlier report could pass for this one
            write(path)
            if not path.is_file():
                raise TaskError(
                    f"the artifact {name!r} is no file{find_line(write)}\n"
                    "write a file to the path that the function is called with"
                )

        self._add(name, write_file)

    @property
    def missing(self) -> list[str]:
        """Return the names of the files that are not written."""
        return [name for name in self._writers if name not in self._written]

    def write(self, folder: Path) -> None:
        """Write the missing files."""
        for name in self.missing:
            folder.mkdir(parents=True, exist_ok=True)
            self._writers[name](folder / name)
            self._written.add(name)

    def rewrite(self, folder: Path) -> None:
        """Write all files: another report is the best one."""
        self._written.clear()
        self.write(folder)

    def _add(self, name: str, write: Callable[[Path], None]) -> None:
        self._writers[name] = write
        self._written.discard(name)
