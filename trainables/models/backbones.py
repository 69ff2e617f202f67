"""Any torchvision classifier, with its head replaced and its last layers unfrozen.

Weights come by torchvision's own loading, or from a folder where there is no network.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from trainables.errors import UserError
from trainables.vision import torchvision_operators  # noqa: F401 - must come before torchvision

HEADS = ("fc", "classifier", "heads", "head")
Origin = Literal["none", "imagenet", "places365"]
SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # of Places365's weights too
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CENTRED = ("googlenet", "inception_v3", "efficientnet_v2_l")  # were trained on values in -1..1
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # second heads of googlenet and inception_v3
PATIENCE = 20.0  # seconds without a byte
FROM_SCRATCH = "train from scratch"
# DenseNets were saved when a module's name could hold a dot: "norm.1" is "norm1" now.
DOTTED = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def build_backbone(
    name: str,
    classes: int,
    origin: Origin = "none",
    weights: Path | None = None,
    *,
    hidden: int = 0,
    dropout: float = 0.0,
    download: bool = True,
    alternative: str = FROM_SCRATCH,
) -> nn.Module:
    """Build a torchvision classifier with a new head; (n, 3, h, w) -> (n, classes).

    With `origin` other than none its body is pretrained: from `weights`, a folder with
    NAME_ORIGIN or NAME and one of the usual endings, or torchvision's own file; or else from
    torchvision's server, with `download` False from an earlier download alone. `hidden` and
    `dropout` are of the new head. Raises UserError for an unknown name or weights that cannot be
    had, saying what to do `alternative`.
    """
    from torchvision import models

    if name not in models.list_models(module=models):
        raise UserError(
            f"torchvision has no classifier {name!r}; there are: "
            f"{', '.join(models.list_models(module=models)[:12])} ..."
        )
    plain = {"aux_logits": False, "init_weights": True} if name in CENTRED[:2] else {}
    if origin == "none":
        model: nn.Module = models.get_model(name, weights=None, **plain)
    else:
        if weights is not None or origin == "places365":
            path = find_weights(name, origin, weights, alternative)
            state, source = read_weights(path), str(path)
        else:
            state, source = _downloaded(models, name, download, alternative), "torchvision's file"
        model = models.get_model(name, weights=None, num_classes=count_classes(state), **plain)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"{source} does not hold the weights of {name}: {reason}") from error
    replace_head(model, classes, hidden, dropout)
    return model


def get_pretrained_mean_std(name: str) -> tuple[Tensor, Tensor]:
    """Give mean and deviation per channel, in 0..1, that pretrained weights were made with."""
    mean, std = HALVES if name in CENTRED else IMAGENET
    return torch.tensor(mean), torch.tensor(std)


def check_size(model: nn.Module, size: int) -> None:
    """Raise UserError where a classifier cannot take images of size x size pixels."""
    training = model.training
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{type(model).__name__} does not take images of {size} x {size}: {reason}\n"
            "most were made for --set size=224"
        ) from error
    finally:
        model.train(training)


def replace_head(model: nn.Module, classes: int, hidden: int = 0, dropout: float = 0.0) -> None:
    """Put a new head where the last linear layer was, whatever that is called.

    It is a linear layer (of a SqueezeNet a 1x1 convolution), with `hidden` above 0 two of them;
    dropout stands before the last.
    """
    for head in HEADS:
        module = getattr(model, head, None)
        if isinstance(module, nn.Linear):
            setattr(model, head, _head(module, classes, hidden, dropout))
            return
        if isinstance(module, nn.Sequential):
            children = list(module.named_children())
            for last, old in reversed(children):
                if isinstance(old, nn.Linear | nn.Conv2d):
                    setattr(module, last, _head(old, classes, hidden, dropout))
                    return
    raise UserError(
        f"{type(model).__name__} has no linear head called {', '.join(HEADS)}; it has "
        f"{', '.join(name for name, _ in model.named_children())}"
    )


def _head(old: nn.Linear | nn.Conv2d, classes: int, hidden: int, dropout: float) -> nn.Module:
    def layer(inputs: int, outputs: int) -> nn.Module:
        linear = isinstance(old, nn.Linear)
        return nn.Linear(inputs, outputs) if linear else nn.Conv2d(inputs, outputs, 1)

    inputs = old.in_features if isinstance(old, nn.Linear) else old.in_channels
    layers: list[nn.Module] = []
    if hidden > 0:
        layers += [layer(inputs, hidden), nn.ReLU(inplace=True)]
    if dropout > 0:
        layers.append(nn.Dropout(dropout))
    last = layer(hidden or inputs, classes)
    return nn.Sequential(*layers, last) if layers else last


def unfreeze_last(model: nn.Module, layers: int | None) -> None:
    """Let only the last so many layers learn (None: all); a layer is a module with own weights.

    Statistics of frozen batch norm stay as they are too, though the rest of the model trains.
    """
    own = [m for m in model.modules() if list(m.parameters(recurse=False))]
    frozen = own[: max(0, len(own) - layers)] if layers is not None else []
    for module in frozen:
        for weight in module.parameters(recurse=False):
            weight.requires_grad_(False)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            # `train()` on the whole model reaches it before every report: it is undone here.
            module.register_forward_pre_hook(_at_rest)


def _at_rest(module: nn.Module, inputs: Any) -> None:
    module.training = False


def find_weights(
    name: str, origin: Origin, weights: Path | None, alternative: str = FROM_SCRATCH
) -> Path:
    """Find the weights of a model in a folder; raises UserError saying what was looked for."""
    from torchvision import models

    stems = [f"{name}_{origin}", *([name] if origin == "imagenet" else [])]
    wanted = [stem + suffix for stem in stems for suffix in SUFFIXES]
    if origin == "imagenet":
        wanted += [file.url.rpartition("/")[2] for file in models.get_model_weights(name)]
    for file in wanted:
        if weights is not None and (weights / file).is_file():
            return weights / file
    raise UserError(
        f"no weights of {name} ({origin}) in {weights or 'any folder: --weights-dir is not set'}\n"
        f"looked for {', '.join(wanted)}\n"
        "put one of them there and give --weights-dir FOLDER"
        + ("; Places365 offers resnet50_places365.pth.tar" if origin == "places365" else "")
        + f"\nor {alternative}"
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read weights without unpickling objects; takes off the wrapping of the Places365 files."""
    try:
        if path.suffix == ".safetensors":
            return _modern(load_file(path))
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        said = isinstance(error, OSError | RuntimeError | SafetensorError) and str(error)
        reason = said.splitlines()[0][:200] if said else "other things than tensors are in it"
        raise UserError(
            f"{path} cannot be read as weights: {reason}\n"
            "copy it again, or save the network's state_dict() as safetensors"
        ) from error
    state = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(
            f"{path} holds no weights by name\ncopy it again, or look for another file"
        )
    # Whole networks were saved from within DataParallel, of some (AlexNet) the features alone.
    return _modern({key.replace("module.", ""): tensor for key, tensor in state.items()})


def _modern(state: dict[str, Tensor]) -> dict[str, Tensor]:
    kept = {key: tensor for key, tensor in state.items() if not key.startswith(AUXILIARY)}
    return {DOTTED.sub(r"\1\2", key): tensor for key, tensor in kept.items()}


def count_classes(state: dict[str, Tensor]) -> int:
    """Tell how many classes the head of a torchvision classifier knows, by its weights."""
    # The last layer of the head has a row of weights per class; files sort their keys.
    weights = [k for k in state if k.split(".")[0] in HEADS and k.endswith(".weight")]
    if not weights:
        return 1000  # other weights: loading them says what they lack
    last = max(weights, key=lambda key: [int(n) for n in re.findall(r"\d+", key)])
    return len(state[last])


def _downloaded(models: Any, name: str, download: bool, alternative: str) -> dict[str, Tensor]:
    file = models.get_model_weights(name).DEFAULT
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        if not download and not (folder / file.url.rpartition("/")[2]).is_file():
            raise FileNotFoundError("they were not downloaded yet")
        with _patience():
            # Its file is checked by the hash in its name; nothing but tensors is unpickled.
            state = file.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the ImageNet weights of {name} cannot be had from {file.url}: {error}\n"
            f"give a folder that holds that file with --weights-dir FOLDER, or {alternative}"
        ) from error
    return _modern(state)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
