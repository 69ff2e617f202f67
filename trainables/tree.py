"""The state of a task as JSON: nested values, with tensors and files beside it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from trainables.errors import TaskError

Tree = Any
"""Nested dicts, lists and tuples of tensors and JSON scalars, as `state_dict` returns them, and
paths of files or folders, whose content belongs to the tree."""


@dataclass
class Content:
    """What a tree refers to: tensors by name, the names of those that were seen, and files."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    seen: dict[Any, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


def encode(tree: Tree, content: Content) -> Tree:
    """Return a tree as JSON, and add to the content what it refers to; raises TaskError."""
    return _encode(tree, "", content)


def _encode(node: Tree, path: str, content: Content) -> Tree:
    if isinstance(node, torch.Tensor):
        return _encode_tensor(node, path, content.tensors, content.seen)
    if isinstance(node, np.ndarray) and node.dtype.kind in "biufc":
        return {"numpy": _encode(_to_tensor(node, path), path, content)["tensor"]}
    if isinstance(node, Path):
        content.files[path.strip(".")] = node
        return {"path": path.strip(".")}
    if isinstance(node, Mapping):
        return {
            "dict": [
                [_encode_key(k, path), _encode(v, f"{path}.{k}", content)] for k, v in node.items()
            ]
        }
    if isinstance(node, list | tuple):
        container = "list" if isinstance(node, list) else "tuple"
        return {container: [_encode(v, f"{path}.{i}", content) for i, v in enumerate(node)]}
    if isinstance(node, np.generic) and not isinstance(value := node.item(), np.generic):
        return _encode(value, path, content)
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise _reject(path, type(node).__name__)


def _to_tensor(array: np.ndarray, path: str) -> torch.Tensor:
    try:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except TypeError as error:  # such as of longdouble
        raise _reject(path, f"{array.dtype}, which PyTorch lacks,") from error


def _reject(path: str, what: str) -> TaskError:
    return TaskError(
        f"cannot save {path.strip('.')} in a checkpoint: {what} is not a dense tensor, an array, "
        "a number, a string, a list, a tuple or a dict\nreturn only these from state_dict"
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
    if tensor.layout != torch.strided or tensor.is_nested:
        raise _reject(path, f"a Tensor with the layout {tensor.layout}")
    if tensor.is_meta:
        raise _reject(path, "a Tensor on the device meta, which has no values,")
    if not _has_format(tensor.dtype):
        raise TaskError(
            f"cannot save {path.strip('.')} in a checkpoint: safetensors has no {tensor.dtype}\n"
            "return it with another dtype from state_dict"
        )
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


@functools.cache
def _has_format(dtype: torch.dtype) -> bool:
    try:
        save({"value": torch.empty(0, dtype=dtype)})
    except (KeyError, RuntimeError):
        return False
    return True


def decode(node: Tree, tensors: Mapping[str, torch.Tensor], files: Path) -> Tree:
    """Return the tree of a JSON, with its tensors, and its files as paths below a folder."""
    if not isinstance(node, dict):
        return node
    if "tensor" in node:
        tensor = tensors[node["tensor"]]
        layout = torch.channels_last if node.get("channels_last") else torch.contiguous_format
        return tensor.contiguous(memory_format=layout)
    if "numpy" in node:
        return tensors[node["numpy"]].numpy()
    if "path" in node:
        return files / node["path"]
    if "dict" in node:
        return {key: decode(value, tensors, files) for key, value in node["dict"]}
    if "list" in node:
        return [decode(value, tensors, files) for value in node["list"]]
    return tuple(decode(value, tensors, files) for value in node["tuple"])
