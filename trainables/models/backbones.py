"""Any torchvision classifier, with its head replaced and its last layers unfrozen.

Weights come by torchvision's own loading, or from a folder where there is no network.
"""

from __future__ import annotations

import re
import urllib.error
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import nn

from trainables import torchvision_operators  # noqa: F401 - must come before torchvision
from trainables.errors import UserError

HEADS = ("fc", "classifier", "heads", "head")
Origin = Literal["none", "imagenet", "places365"]
SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar")


def backbone(
    name: str, classes: int, origin: Origin = "none", weights: Path | None = None
) -> nn.Module:
    """Build a torchvision classifier with a new head; (n, 3, h, w) -> (n, classes).

    With `origin` other than none its body is pretrained: from `weights`, a folder with
    NAME_ORIGIN or NAME and one of the usual endings, or else from torchvision's server. Raises
    UserError for an unknown name or weights that cannot be had.
    """
    from torchvision import models

    if name not in models.list_models(module=models):
        raise UserError(
            f"torchvision has no classifier {name!r}; there are: "
            f"{', '.join(models.list_models(module=models)[:12])} ..."
        )
    if origin == "none":
        model: nn.Module = models.get_model(name, weights=None)
    elif weights is not None or origin == "places365":
        path = find(name, origin, weights)
        state = read(path)
        model = models.get_model(name, weights=None, num_classes=_classes_in(state))
        model.load_state_dict(state)
    else:
        model = _downloaded(models, name)
    replace_head(model, classes)
    return model


def replace_head(model: nn.Module, classes: int) -> None:
    """Put a new linear layer where the last one of the head was, whatever the head is called."""
    for head in HEADS:
        module = getattr(model, head, None)
        if isinstance(module, nn.Linear):
            setattr(model, head, nn.Linear(module.in_features, classes))
            return
        if isinstance(module, nn.Sequential):
            linear = [(n, m) for n, m in module.named_children() if isinstance(m, nn.Linear)]
            if linear:
                last, old = linear[-1]
                setattr(module, last, nn.Linear(old.in_features, classes))
                return
    raise UserError(
        f"{type(model).__name__} has no linear head called {', '.join(HEADS)}; it has "
        f"{', '.join(name for name, _ in model.named_children())}"
    )


def unfreeze_last(model: nn.Module, layers: int | None) -> None:
    """Let only the last so many layers learn (None: all); a layer is a module with own weights."""
    own = [m for m in model.modules() if list(m.parameters(recurse=False))]
    frozen = own[: len(own) - layers] if layers is not None else []
    for module in frozen:
        for weight in module.parameters(recurse=False):
            weight.requires_grad_(False)


def find(name: str, origin: Origin, weights: Path | None) -> Path:
    """Find the weights of a model in a folder; raises UserError saying what was looked for."""
    stems = [f"{name}_{origin}", *([name] if origin == "imagenet" else [])]
    wanted = [stem + suffix for stem in stems for suffix in SUFFIXES]
    for file in wanted:
        if weights is not None and (weights / file).is_file():
            return weights / file
    raise UserError(
        f"no weights of {name} ({origin}) in {weights or 'any folder: --weights-dir is not set'}\n"
        f"looked for {', '.join(wanted)}\n"
        "put one of them there and give --weights-dir FOLDER"
        + ("; Places365 offers resnet50_places365.pth.tar" if origin == "places365" else "")
    )


def read(path: Path) -> dict[str, torch.Tensor]:
    """Read weights without unpickling objects; takes off the wrapping of the Places365 files."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as weights: {str(error).splitlines()[0][:200]}\n"
            "copy it again, or convert it to safetensors"
        ) from error
    state = found.get("state_dict", found)
    return {key.removeprefix("module."): tensor for key, tensor in state.items()}


def _classes_in(state: dict[str, torch.Tensor]) -> int:
    # The last layer of the head has a bias with one number per class; files sort their keys.
    biases = [k for k in state if k.split(".")[0] in HEADS and k.endswith(".bias")]
    last = max(biases, key=lambda key: [int(n) for n in re.findall(r"\d+", key)])
    return len(state[last])


def _downloaded(models: Any, name: str) -> nn.Module:
    try:
        model: nn.Module = models.get_model(name, weights="DEFAULT")
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"the ImageNet weights of {name} cannot be downloaded: {error}\n"
            "give a folder that holds them with --weights-dir FOLDER, or train from scratch"
        ) from error
    return model
