"""State on disk without pickle: tensors as safetensors, everything else as JSON.

A checkpoint is a folder with `manifest.json`, which names the one tensor file that belongs to
it. The manifest is replaced atomically and last, so a reader sees the old state or the new one.
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

from trainables.errors import UserError

Tree = Any
"""Nested dicts, lists and tuples of tensors and JSON scalars, as `state_dict` gives them."""


def capture(parts: Mapping[str, Any]) -> dict[str, Tree]:
    """Collect the state of every part and of the global random generators."""
    states = {
        name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
        for name, part in parts.items()
    }
    return {"parts": states, "random": _random_state()}


def select_inference_state(tree: Mapping[str, Tree], parts: Mapping[str, Any]) -> dict[str, Tree]:
    """Keep what using a model needs: its modules, or every part where none is a module."""
    states = tree["parts"]
    modules = {n: s for n, s in states.items() if isinstance(parts[n], torch.nn.Module)}
    return {"parts": modules or states}


def restore(tree: Mapping[str, Tree], parts: Mapping[str, Any], strict: bool = True) -> None:
    """Put captured state back; with `partly`, parts that the tree lacks stay as they are.

    Random states come last, since building or loading a part may draw numbers.
    """
    states = tree["parts"]
    if strict and states.keys() != parts.keys():
        raise ValueError(f"the checkpoint has the parts {sorted(states)}, not {sorted(parts)}")
    for name, state in states.items():
        part = parts[name]
        if isinstance(part, torch.Generator):
            part.set_state(state)
        else:
            part.load_state_dict(state)
    if "random" in tree:
        _set_random_state(tree["random"])


def write(folder: Path, manifest: Mapping[str, Any], tree: Tree) -> None:
    """Write a checkpoint; a reader at any moment finds a complete one."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    encoded = _encode(tree, "", tensors, {})
    # Never the name that the present manifest names: some are written between two reports.
    name, other = (f"state-{manifest['report']}{twin}.safetensors" for twin in ("", "-2"))
    if (folder / name).exists() and _named(folder) == name:
        name = other
    try:
        save_file(tensors, folder / f"{name}.part")
    except SafetensorError as error:  # its text alone tells what the operating system said
        if code := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(folder)) from error
        raise
    (folder / f"{name}.part").replace(folder / name)
    text = json.dumps({**manifest, "file": name, "tree": encoded})
    (folder / "manifest.json.part").write_text(text, encoding="utf-8")
    (folder / "manifest.json.part").replace(folder / "manifest.json")
    for old in folder.glob("state-*"):
        if old.name != name:
            old.unlink(missing_ok=True)


def read(folder: Path) -> tuple[dict[str, Any], Tree] | None:
    """Read a checkpoint's manifest and state, on the CPU; None where there is no complete one."""
    for _ in range(3):  # a writer may replace it between the two reads
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            tensors = load_file(folder / manifest["file"])
        except FileNotFoundError:
            if not (folder / "manifest.json").exists():
                return None
            continue
        except (SafetensorError, ValueError):  # a machine that lost power may leave half a file
            return None
        return manifest, _decode(manifest.pop("tree"), tensors)
    return None


def _named(folder: Path) -> str | None:
    try:
        name = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["file"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(name)


def copy(source: Path, target: Path) -> bool:
    """Copy a complete checkpoint, whoever may be writing there; False where there is none."""
    found = read(source)
    if found is None:
        return False
    manifest, tree = found
    manifest.pop("file")
    write(target, manifest, tree)
    return True


def load_module(module: torch.nn.Module, folder: Path) -> torch.nn.Module:
    """Fill a freshly built module from the part `model` of a checkpoint; gives it in eval mode."""
    found = read(folder)
    if found is None:
        raise UserError(f"no complete checkpoint in {folder}")
    module.load_state_dict(found[1]["parts"]["model"])
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
    pq.write_table(pa.table(columns), part, compression="zstd")
    part.replace(path)


def _encode(node: Tree, path: str, tensors: dict[str, torch.Tensor], seen: dict[Any, str]) -> Tree:
    if isinstance(node, torch.Tensor):
        return _encode_tensor(node, path, tensors, seen)
    if isinstance(node, np.ndarray):
        return {
            "numpy": _encode_tensor(torch.from_numpy(node.copy()), path, tensors, seen)["tensor"]
        }
    if isinstance(node, Mapping):
        return {"dict": [[k, _encode(v, f"{path}.{k}", tensors, seen)] for k, v in node.items()]}
    if isinstance(node, list | tuple):
        kind = "list" if isinstance(node, list) else "tuple"
        return {kind: [_encode(v, f"{path}.{i}", tensors, seen) for i, v in enumerate(node)]}
    if isinstance(node, np.generic):
        return node.item()
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise TypeError(
        f"cannot checkpoint {path.strip('.')}: {type(node).__name__} is neither "
        "tensor, number, text, list nor dict"
    )


def _encode_tensor(
    tensor: torch.Tensor, path: str, tensors: dict[str, torch.Tensor], seen: dict[Any, str]
) -> dict[str, Any]:
    # safetensors refuses shared memory and layouts other than contiguous: ties become aliases,
    # channels_last a flag.
    tensor = tensor.detach()
    key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
    name = seen.get(key) if tensor.numel() else None
    if name is None:
        name = path.strip(".") or "value"
        while name in tensors:  # {"a": {"b": x}, "a.b": y}
            name += "'"
        stored = tensor.cpu().contiguous()
        partial = stored.untyped_storage().nbytes() != stored.numel() * stored.element_size()
        if partial or stored.data_ptr() in seen:  # a part, or another view of the whole
            stored = stored.clone()
        seen[key] = seen[stored.data_ptr()] = name
        tensors[name] = stored
    last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    if last and not tensor.is_contiguous():
        return {"tensor": name, "channels_last": True}
    return {"tensor": name}


def _decode(node: Tree, tensors: Mapping[str, torch.Tensor]) -> Tree:
    if not isinstance(node, dict):
        return node
    if "tensor" in node:
        tensor = tensors[node["tensor"]]
        wanted = torch.channels_last if node.get("channels_last") else torch.contiguous_format
        return tensor.contiguous(memory_format=wanted)
    if "numpy" in node:
        return tensors[node["numpy"]].numpy()
    if "dict" in node:
        return {key: _decode(value, tensors) for key, value in node["dict"]}
    if "list" in node:
        return [_decode(value, tensors) for value in node["list"]]
    return tuple(_decode(value, tensors) for value in node["tuple"])


def _random_state() -> dict[str, Tree]:
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
