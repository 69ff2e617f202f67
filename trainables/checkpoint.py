"""Checkpoints without pickle: tensors as safetensors, everything else as JSON.

A checkpoint is a folder with `manifest.json` and the tensor file that it names. The manifest is
replaced atomically and last, so a reader sees either the old state or the new one. It has a
checksum of itself and of the tensor file.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trainables.errors import DamagedFileError, TaskError, UserError
from trainables.integrity import decode_json, encode_json, sum_file

Tree = Any
"""Nested dicts, lists and tuples of tensors and JSON scalars, as `state_dict` returns them."""


def capture(parts: Mapping[str, Any]) -> dict[str, Tree]:
    """Return the state of every part and of the global random number generators."""
    states = {
        name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
        for name, part in parts.items()
    }
    return {"parts": states, "random": _get_random_state()}


def select_inference_state(tree: Mapping[str, Tree], parts: Mapping[str, Any]) -> dict[str, Tree]:
    """Return the state needed for inference: that of the modules, or of all parts without any."""
    states = tree["parts"]
    modules = {n: s for n, s in states.items() if isinstance(parts[n], torch.nn.Module)}
    return {"parts": modules or states}


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
        else:
            part.load_state_dict(state)
    if "random" in tree:
        _set_random_state(tree["random"])


def write(folder: Path, manifest: Mapping[str, Any], tree: Tree) -> None:
    """Write a checkpoint; readers find a complete checkpoint at any moment."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    encoded = _encode(tree, "", tensors, {})
    # Never overwrite the file that the current manifest names: a checkpoint that is written in
    # the middle of a report has the same number as the one before it.
    name, other = (f"state-{manifest['report']}{suffix}.safetensors" for suffix in ("", "-2"))
    if (folder / name).exists() and _read_file_name(folder) == name:
        name = other
    try:
        save_file(tensors, folder / f"{name}.part")
    except SafetensorError as error:
        raise find_os_error(error) or error from error
    (folder / f"{name}.part").replace(folder / name)
    checksum = sum_file(folder / name)
    text = encode_json({**manifest, "file": name, "checksum": checksum, "tree": encoded})
    (folder / "manifest.json.part").write_text(text, encoding="utf-8")
    (folder / "manifest.json.part").replace(folder / "manifest.json")
    for old in folder.glob("state-*"):
        if old.name != name:
            old.unlink(missing_ok=True)


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
            return manifest, _decode(manifest.pop("tree"), load_file(file))
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
    content = read(source)
    if content is None:
        return False
    manifest, tree = content
    manifest.pop("file")
    write(target, manifest, tree)
    return True


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


def _encode(node: Tree, path: str, tensors: dict[str, torch.Tensor], seen: dict[Any, str]) -> Tree:
    if isinstance(node, torch.Tensor):
        return _encode_tensor(node, path, tensors, seen)
    if isinstance(node, np.ndarray) and node.dtype.kind in "biufc":
        return {
            "numpy": _encode_tensor(torch.from_numpy(node.copy()), path, tensors, seen)["tensor"]
        }
    if isinstance(node, Mapping):
        return {
            "dict": [
                [_encode_key(k, path), _encode(v, f"{path}.{k}", tensors, seen)]
                for k, v in node.items()
            ]
        }
    if isinstance(node, list | tuple):
        container = "list" if isinstance(node, list) else "tuple"
        return {container: [_encode(v, f"{path}.{i}", tensors, seen) for i, v in enumerate(node)]}
    if isinstance(node, np.generic) and not isinstance(value := node.item(), np.generic):
        return _encode(value, path, tensors, seen)
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise TaskError(
        f"cannot save {path.strip('.')} in a checkpoint: {type(node).__name__} is not a tensor, "
        "an array, a number, a string, a list, a tuple or a dict\n"
        "return only these from state_dict"
    )


def _encode_key(key: object, path: str) -> Tree:
    key = key.item() if isinstance(key, np.generic) else key
    if key is None or isinstance(key, bool | int | float | str):
        return key
    raise TaskError(
        f"cannot save {path.strip('.')} in a checkpoint: its key {key!r:.80} is not a number or a "
        "string\nreturn only these as keys from state_dict"
    )


def _encode_tensor(
    tensor: torch.Tensor, path: str, tensors: dict[str, torch.Tensor], seen: dict[Any, str]
) -> dict[str, Any]:
    # safetensors rejects shared memory and layouts that are not contiguous: tied tensors are
    # stored once under one name, channels_last is stored as a flag.
    tensor = tensor.detach()
    key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
    name = seen.get(key) if tensor.numel() else None
    if name is None:
        name = path.strip(".") or "value"
        while name in tensors:  # {"a": {"b": x}, "a.b": y}
            name += "'"
        stored = tensor.cpu().contiguous()
        partial = stored.untyped_storage().nbytes() != stored.numel() * stored.element_size()
        if partial or stored.data_ptr() in seen:  # a view of a larger tensor
            stored = stored.clone()
        seen[key] = seen[stored.data_ptr()] = name
        tensors[name] = stored
    channels_last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    if channels_last and not tensor.is_contiguous():
        return {"tensor": name, "channels_last": True}
    return {"tensor": name}


def _decode(node: Tree, tensors: Mapping[str, torch.Tensor]) -> Tree:
    if not isinstance(node, dict):
        return node
    if "tensor" in node:
        tensor = tensors[node["tensor"]]
        layout = torch.channels_last if node.get("channels_last") else torch.contiguous_format
        return tensor.contiguous(memory_format=layout)
    if "numpy" in node:
        return tensors[node["numpy"]].numpy()
    if "dict" in node:
        return {key: _decode(value, tensors) for key, value in node["dict"]}
    if "list" in node:
        return [_decode(value, tensors) for value in node["list"]]
    return tuple(_decode(value, tensors) for value in node["tuple"])


def _get_random_state() -> dict[str, Tree]:
    state: dict[str, Tree] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.device_count():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: Mapping[str, Tree]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
