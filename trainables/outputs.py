"""What a run writes of its best report beside the weights: predictions, and files for a report."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainables import checkpoint
from trainables.errors import TaskError
from trainables.predictions import check_functions, find_line, read_predictions
from trainables.predictor import Expected, Predictions

SUFFIXES = (".parquet", ".md", ".png", ".gif")


@dataclass
class Outputs:
    """Functions that predict a split or write a file, and which of them are written already."""

    _writers: dict[str, Callable[[Path], None]] = field(default_factory=dict)
    _written: set[str] = field(default_factory=set)
    _kept: set[str] = field(default_factory=set)

    def add_predictions(
        self, functions: dict[str, Predictions], expected: Mapping[str, Expected]
    ) -> None:
        """Register functions that predict a split, by the split's name.

        What they predict must fit what is `expected` of the split, where that is known.
        """
        for split, predict in check_functions(functions).items():

            def write(path: Path, split: str = split, predict: Predictions = predict) -> None:
                rows = read_predictions(split, predict, expected.get(split))
                checkpoint.write_predictions(path, rows)

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
        self._kept.clear()
        for path in list_outputs(folder):  # of a function that is registered again later
            path.unlink()
        self.write(folder)

    def keep(self, folder: Path) -> None:
        """Remember the files that an earlier attempt has written at the best report so far."""
        self._kept = {path.name for path in list_outputs(folder)}

    def accept_kept(self, best: int, done: int) -> None:
        """Take the files of an earlier attempt for written, unless another report is the best.

        Raises TaskError for others that are missing where the `best` of `done` reports is past.
        """
        self._written |= self._kept
        if self.missing and best != done:
            raise TaskError(
                f"the best report is {best} of {done}, and its weights were not saved for "
                f"{' and '.join(self.missing)}\nregister that before the first report, or give "
                "Run.resume the model, as run.resume(model=model)"
            )

    def _add(self, name: str, write: Callable[[Path], None]) -> None:
        self._writers[name] = write
        self._written.discard(name)


def list_outputs(folder: Path) -> list[Path]:
    """Return the predictions and artifacts in a folder of the best report."""
    return [path for path in folder.glob("*") if path.suffix in SUFFIXES]


def copy_outputs(source: Path, target: Path) -> None:
    """Copy the predictions and artifacts of the best report."""
    for path in list_outputs(source):
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target / path.name)
