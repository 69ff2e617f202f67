"""Checkpoints without pickle: tensors as safetensors, everything else as JSON.

A checkpoint is a folder with `manifest.json`, the tensor file that it names, and a folder of the
files that parts have saved themselves, in their own formats. The manifest is replaced atomically
and last, so a reader sees either the old state or the new one. It has a checksum of itself and of
every file.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trainables import file_parts
from trainables.errors import DamagedFileError, TaskError, UserError
from trainables.file_parts import FRAMEWORK, is_file_part, save_part
from trainables.integrity import decode_json, encode_json, sum_file
from trainables.tree import Content, Tree, decode, encode


def capture(parts: Mapping[str, Any], draft: Path | None = None) -> dict[str, Tree]:
    """Return the state of every part and of the global random number generators.

    Parts that save themselves as files do that in the folder `draft`, which is emptied before.
    """
    if draft is not None:
        shutil.rmtree(draft, ignore_errors=True)
    states = {name: _capture(name, part, draft) for name, part in parts.items()}
    return {"parts": states, "random": get_random_state()}


def _capture(name: str, part: Any, draft: Path | None) -> Tree:
    if isinstance(part, torch.Generator):
        return part.get_state()
    if draft is not None and is_file_part(part):
        return save_part(part, name, draft)
    return part.state_dict()


def select_inference_state(tree: Mapping[str, Tree], parts: Mapping[str, Any]) -> dict[str, Tree]:
    """Return the state needed for inference: that of the modules, or of all parts without any.

    The files of a framework (`Run.checkpoint_dir`) always belong to it.
    """
    states = tree["parts"]
    modules = {n: s for n, s in states.items() if isinstance(parts[n], torch.nn.Module)}
    files = {n: s for n, s in states.items() if n == FRAMEWORK}
    return {"parts": {**modules, **files} if modules else states}


def restore(tree: Mapping[str, Tree], parts: Mapping[str, Any], strict: bool = True) -> None:
    """Load captured state into the parts and the global random number generators.

    With `strict` False, parts that the tree lacks are left unchanged. Random states are restored
    last, because loading a part may draw random numbers. Raises TaskError for other parts.
    """
    states = tree["parts"]
    if strict and states.keys() != parts.keys():
        raise TaskError(
            f"the checkpoint has the parts {sorted(states)}, Run.resume got {sorted(parts)}: the "
            "code of the task has changed\nrestore it, or start another training"
        )
    for name, state in states.items():
        part = parts[name]
        if isinstance(part, torch.Generator):
            part.set_state(state)
        elif is_file_part(part):
            part.load(state)
        else:
            part.load_state_dict(state)
    if "random" in tree:
        set_random_state(tree["random"])


def write(folder: Path, manifest: Mapping[str, Any], tree: Tree) -> None:
    """Write a checkpoint; readers find a complete checkpoint at any moment."""
    folder.mkdir(parents=True, exist_ok=True)
    content = Content()
    encoded = encode(tree, content)
    # Never overwrite the files that the current manifest names: a checkpoint that is written in
    # the middle of a report has the same number as the one before it.
    report = manifest["report"]
    key = f"{report}-2" if _read_file_name(folder) == f"state-{report}.safetensors" else report
    name = f"state-{key}.safetensors"
    more = {}
    if content.files:
        sums = file_parts.place(content.files, folder / f"files-{key}")
        more["files"] = {"folder": f"files-{key}", "sums": sums}
    try:
        save_file(content.tensors, folder / f"{name}.part")
    except SafetensorError as error:
        raise find_os_error(error) or error from error
    (folder / f"{name}.part").replace(folder / name)
    checksum = sum_file(folder / name)
    text = encode_json({**manifest, "file": name, "checksum": checksum, **more, "tree": encoded})
    (folder / "manifest.json.part").write_text(text, encoding="utf-8")
    (folder / "manifest.json.part").replace(folder / "manifest.json")
    for old in folder.glob("state-*"):
        if old.name != name:
            old.unlink(missing_ok=True)
    for old in folder.glob("files-*"):
        if old.name != f"files-{key}":
            shutil.rmtree(old, ignore_errors=True)


def find_os_error(error: BaseException) -> OSError | None:
    """Return the OSError behind an error of safetensors, which only its text tells."""
    if isinstance(error, SafetensorError) and (code := re.search(r"os error (\d+)", str(error))):
        return OSError(int(code[1]), os.strerror(int(code[1])))
    return None


def read(folder: Path) -> tuple[dict[str, Any], Tree] | None:
    """Read a checkpoint's manifest and state onto the CPU; None where there is none.

    Raises DamagedFileError for one that is incomplete or has changed.
    """
    path = folder / "manifest.json"
    failure: Exception | None = None
    for _ in range(3):  # a writer may replace the files between the two reads
        try:
            manifest = decode_json(path.read_bytes())
            file = folder / str(manifest["file"])
            checksum = manifest.pop("checksum", None)
            if checksum is not None and sum_file(file) != checksum:
                raise ValueError(f"{file.name} does not match its checksum")
            files = manifest.pop("files", {"folder": "", "sums": {}})
            file_parts.check(folder / files["folder"], files["sums"])
            tree = decode(manifest.pop("tree"), load_file(file), folder / files["folder"])
            return manifest, tree
        except FileNotFoundError as error:
            if not path.exists():
                return None
            failure = error
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            if (os_error := find_os_error(error)) is not None:
                raise os_error from error
            failure = error
    why = f"it lacks {failure}" if isinstance(failure, KeyError) else str(failure)
    raise DamagedFileError(f"the checkpoint {folder} is damaged: {why}") from failure


def _read_file_name(folder: Path) -> str | None:
    try:
        name = json.loads((folder / "manifest.json").read_bytes())["file"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(name)


def copy(source: Path, target: Path) -> bool:
    """Copy a checkpoint, even while it is being written; False if there is none.

    Raises DamagedFileError.
    """
    for tries in reversed(range(3)):
        content = read(source)
        if content is None:
            return False
        manifest, tree = content
        manifest.pop("file")
        try:
            write(target, manifest, tree)
            return True
        except FileNotFoundError:  # its writer has replaced the files since
            if not tries:
                raise
    return False


def find_files(folder: Path, part: str = FRAMEWORK) -> Path:
    """Return the file or folder that a part, or a framework, has saved to a checkpoint.

    Raises UserError where there is none.
    """
    content = read(folder)
    found = content[1]["parts"].get(part) if content else None
    if not isinstance(found, Path):
        raise UserError(f"the checkpoint {folder} has no files of the part {part!r}")
    return found


def load_module(module: torch.nn.Module, folder: Path) -> torch.nn.Module:
    """Load the part `model` of a checkpoint into a module, and return it in eval mode."""
    content = read(folder)
    if content is None:
        raise UserError(f"no complete checkpoint in {folder}")
    module.load_state_dict(content[1]["parts"]["model"])
    return module.eval()


def write_predictions(path: Path, predictions: np.ndarray) -> None:
    """Write one row per example: `id, p0 ... pk` for (n, k) probabilities, else `id, answer`."""
    columns: dict[str, Any] = {"id": np.arange(len(predictions), dtype=np.int64)}
    if predictions.ndim == 2:
        values = predictions.astype(np.float32)
        columns |= {f"p{k}": values[:, k] for k in range(values.shape[1])}
    else:
        columns["answer"] = predictions
    part = path.with_name(path.name + ".part")
    pq.write_table(pa.table(columns), part, compression="zstd", write_page_checksum=True)
    part.replace(path)


def get_random_state() -> dict[str, Tree]:
    """Return the states of the global generators of Python, NumPy and torch."""
    state: dict[str, Tree] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.device_count():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Tree]) -> None:
    """Set the global generators of Python, NumPy and torch to states that were returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
