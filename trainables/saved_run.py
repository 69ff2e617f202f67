"""What a run saves in its folder: `last/`, to continue from, and `best/`, to use.

`last/` has the whole state and the history of reports, `best/` the weights of the best report.
They are intact together or not at all: a run that continued without its best weights would end
with those of another report.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from trainables import checkpoint
from trainables.errors import DamagedFileError, TaskError
from trainables.file_parts import FRAMEWORK, is_file_part
from trainables.history import (
    Extent,
    append_report,
    copy_history,
    read_history,
    truncate_history,
)
from trainables.outputs import copy_outputs
from trainables.tree import Tree


@dataclass(frozen=True)
class Progress:
    """How far a run has come: the manifest of `last/` has these fields."""

    report: int = 0
    seconds: float = 0.0
    score: float | None = None
    best_report: int = 0
    history: Extent = field(default_factory=Extent)


@dataclass(frozen=True)
class SavedRun:
    """A run as `last/` has it: how far it came, its reports, and its state."""

    progress: Progress
    history: list[dict[str, Any]]
    tree: Tree


def check_parts(parts: Mapping[str, Any]) -> None:
    """Raise TaskError for a part that cannot be saved and restored."""
    for name, part in parts.items():
        methods = (getattr(part, method, None) for method in ("state_dict", "load_state_dict"))
        is_class = isinstance(part, type)
        known = all(map(callable, methods)) or isinstance(part, torch.Generator)
        if is_class or not (known or is_file_part(part)):
            what = f"a class, {part.__name__}" if is_class else type(part).__name__
            raise TaskError(
                f"Run.resume cannot save the part {name!r}, {what}: it needs state_dict and "
                "load_state_dict, or save(path) and load(path), or to be a torch.Generator\n"
                "give it two of these methods, or do not pass it to run.resume"
            )
        if name == FRAMEWORK:
            raise TaskError(f"Run.resume got a part with the name {name!r}, which is taken")


def check_loads(file: Path, fix: str) -> None:
    """Raise TaskError, which names a fix, for a file of torch that would not be loaded again."""
    if not file.is_file():  # some strategies of Lightning write a folder
        return
    try:
        torch.load(file, "cpu", mmap=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        raise TaskError(
            f"{file.name} would not be loaded again: it has {named[1] if named else 'an object'}, "
            f"which is neither a tensor nor a plain value\nkeep objects out of it, as with {fix}, "
            "or name their classes with torch.serialization.add_safe_globals"
        ) from error


def count_parameters(parts: Mapping[str, Any]) -> dict[str, float]:
    """Return the fact of how many weights all modules among the parts have; none without one."""
    modules = [part for part in parts.values() if isinstance(part, torch.nn.Module)]
    count = sum(weight.numel() for module in modules for weight in module.parameters())
    return {"parameters": float(count)} if modules else {}


def holds_weights(parts: Mapping[str, Any]) -> bool:
    """Return whether the best weights can be restored into the parts.

    The files of a framework (`Run.checkpoint_dir`) change nothing in the model of its loop.
    """
    rest = (part for name, part in parts.items() if name != FRAMEWORK)
    return any(not isinstance(part, torch.Generator) for part in rest)


def append_to_history(folder: Path, entry: Mapping[str, Any], extent: Extent) -> Extent:
    """Append a report to the history of a run, and return the extent with it."""
    last = folder / "last"
    last.mkdir(parents=True, exist_ok=True)
    if not extent.size:  # of an earlier training in this folder
        truncate_history(last, extent)
    return append_report(last, entry, extent)


def write_last(folder: Path, progress: Progress, tree: Tree) -> None:
    """Write `last/`: the history must have been appended before."""
    checkpoint.write(folder / "last", asdict(progress), tree)


def read_saved_run(folder: Path) -> SavedRun | None:
    """Read what a run has saved; None where it has saved nothing. Raises DamagedFileError."""
    last = folder / "last"
    found = checkpoint.read(last)
    if found is None:
        if any(last.glob("state-*.safetensors")) or any(last.glob("history-*.jsonl")):
            raise DamagedFileError(f"the checkpoint {last} has no manifest.json")
        return None
    manifest, tree = found
    progress, history = _parse(last, manifest)
    if not isinstance(tree, dict) or not isinstance(tree.get("parts"), dict):
        raise DamagedFileError(f"the checkpoint {last} is damaged: it has no parts")
    if progress.best_report and checkpoint.read(folder / "best") is None:
        raise DamagedFileError(f"the checkpoint {folder / 'best'} is missing")
    if history is None:
        history = read_history(last, progress.history)
    return SavedRun(progress, history, tree)


def restore_best(folder: Path, parts: Mapping[str, Any]) -> None:
    """Load the best weights into the parts; raises DamagedFileError."""
    found = checkpoint.read(folder)
    if found is None:
        raise DamagedFileError(f"the checkpoint {folder} is missing")
    checkpoint.restore(found[1], parts, strict=False)


def continue_history(folder: Path, saved: SavedRun) -> Extent:
    """Prepare the history of a saved run for more reports, and return its extent."""
    extent = saved.progress.history
    if saved.history and not extent.size:  # saved by a version that kept it in the manifest
        for entry in saved.history:
            extent = append_to_history(folder, entry, extent)
    truncate_history(folder / "last", extent)
    return extent


def copy_saved_run(source: Path, target: Path) -> bool:
    """Copy what a run has saved, even while it is writing; False where it has saved nothing.

    `last` comes last: a copy that has it has everything. Raises DamagedFileError.
    """
    if not (source / "last" / "manifest.json").exists():  # as while the first report is saved
        return False
    saved = read_saved_run(source)
    assert saved is not None
    copy_history(source / "last", target / "last", saved.progress.history)
    if saved.progress.best_report:
        checkpoint.copy(source / "best", target / "best")
        copy_outputs(source / "best", target / "best")
    progress = replace(saved.progress, history=continue_history(target, saved))
    write_last(target, progress, saved.tree)
    return True


def _parse(
    folder: Path, manifest: Mapping[str, Any]
) -> tuple[Progress, list[dict[str, Any]] | None]:
    try:
        score, history = manifest["score"], manifest["history"]
        older = isinstance(history, list)
        progress = Progress(
            report=int(manifest["report"]),
            seconds=float(manifest["seconds"]),
            score=None if score is None else float(score),
            best_report=int(manifest["best_report"]),
            history=Extent() if older else Extent(**history),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(
            f"the checkpoint {folder} is damaged: its manifest cannot be read ({error!r})"
        ) from error
    return progress, history if older else None
