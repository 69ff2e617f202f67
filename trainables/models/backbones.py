"""Any torchvision classifier with a new head and its last layers unfrozen.

torchvision downloads the pretrained weights, or they are read from a folder.
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
IMAGENET = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # mean and std; of the Places365 weights too
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CENTRED = ("googlenet", "inception_v3", "efficientnet_v2_l")  # trained on values in -1..1
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # auxiliary heads of googlenet and inception_v3
TIMEOUT = 20.0  # seconds without a byte
FROM_SCRATCH = "train from scratch"
# DenseNets were saved when names of modules could have dots: "norm.1" is "norm1" today.
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

    With an `origin` other than none, its body is pretrained. The weights are a file in the
    folder `weights`, called NAME_ORIGIN, NAME or as torchvision's own file. Without the folder,
    torchvision downloads them; with `download` False, they come from an earlier download only.
    `hidden` and `dropout` belong to the new head. Raises UserError for an unknown name or
    missing weights; the message ends with the `alternative`.
    """
    from torchvision import models

    if name not in models.list_models(module=models):
        raise UserError(
            f"torchvision has no classifier {name!r}; choose one of "
            f"{', '.join(models.list_models(module=models)[:12])} ..."
        )
    options = {"aux_logits": False, "init_weights": True} if name in CENTRED[:2] else {}
    if origin == "none":
        model: nn.Module = models.get_model(name, weights=None, **options)
    else:
        if weights is not None or origin == "places365":
            path = find_weights(name, origin, weights, alternative)
            state, source = read_weights(path), str(path)
        else:
            state, source = (
                _download_weights(models, name, download, alternative),
                "torchvision's file",
            )
        model = models.get_model(name, weights=None, num_classes=count_classes(state), **options)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"{source} does not contain the weights of {name}: {reason}"
            ) from error
    replace_head(model, classes, hidden, dropout)
    return model


def get_pretrained_mean_std(name: str) -> tuple[Tensor, Tensor]:
    """Return mean and std per channel, in 0..1, that the pretrained weights expect."""
    mean, std = HALF if name in CENTRED else IMAGENET
    return torch.tensor(mean), torch.tensor(std)


def check_size(model: nn.Module, size: int) -> None:
    """Raise UserError if a classifier does not accept images of size x size pixels."""
    training = model.training
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{type(model).__name__} does not accept images of {size} x {size}: {reason}\n"
            "most networks expect --set size=224"
        ) from error
    finally:
        model.train(training)


def replace_head(model: nn.Module, classes: int, hidden: int = 0, dropout: float = 0.0) -> None:
    """Replace the last linear layer of a classifier by a new head.

    The head is a linear layer (in a SqueezeNet a 1x1 convolution), or two with `hidden` above 0.
    Dropout comes before the last layer. Raises UserError if there is no such layer.
    """
    for head in HEADS:
        module = getattr(model, head, None)
        if isinstance(module, nn.Linear):
            setattr(model, head, _build_head(module, classes, hidden, dropout))
            return
        if isinstance(module, nn.Sequential):
            children = list(module.named_children())
            for last, old in reversed(children):
                if isinstance(old, nn.Linear | nn.Conv2d):
                    setattr(module, last, _build_head(old, classes, hidden, dropout))
                    return
    raise UserError(
        f"{type(model).__name__} has no linear head called {', '.join(HEADS)}; it has "
        f"{', '.join(name for name, _ in model.named_children())}"
    )


def _build_head(
    old: nn.Linear | nn.Conv2d, classes: int, hidden: int, dropout: float
) -> nn.Module:
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
    """Freeze all but the last `layers` (None: freeze none); a layer is a module with parameters.

    The statistics of frozen batch norms stay unchanged, too, while the rest of the model trains.
    """
    all_layers = [m for m in model.modules() if list(m.parameters(recurse=False))]
    frozen = all_layers[: max(0, len(all_layers) - layers)] if layers is not None else []
    for module in frozen:
        for weight in module.parameters(recurse=False):
            weight.requires_grad_(False)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            # `train()` on the model sets it to train mode before every report.
            module.register_forward_pre_hook(_set_eval)


def _set_eval(module: nn.Module, inputs: Any) -> None:
    module.training = False


def find_weights(
    name: str, origin: Origin, weights: Path | None, alternative: str = FROM_SCRATCH
) -> Path:
    """Return the file with the weights of a model; raises UserError with the expected names."""
    from torchvision import models

    stems = [f"{name}_{origin}", *([name] if origin == "imagenet" else [])]
    names = [stem + suffix for stem in stems for suffix in SUFFIXES]
    if origin == "imagenet":
        names += [file.url.rpartition("/")[2] for file in models.get_model_weights(name)]
    for file in names:
        if weights is not None and (weights / file).is_file():
            return weights / file
    raise UserError(
        f"no weights of {name} ({origin}) in {weights or 'any folder: --weights-dir is not set'}\n"
        f"looked for {', '.join(names)}\n"
        "put one of them into a folder and set --weights-dir FOLDER"
        + ("; Places365 offers resnet50_places365.pth.tar" if origin == "places365" else "")
        + f"\nor {alternative}"
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read weights by name without unpickling objects; accepts the files of Places365."""
    try:
        if path.suffix == ".safetensors":
            return _convert_keys(load_file(path))
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        has_reason = isinstance(error, OSError | RuntimeError | SafetensorError) and str(error)
        reason = str(error).splitlines()[0][:200] if has_reason else "not all values are tensors"
        raise UserError(
            f"{path} cannot be read as weights: {reason}\n"
            "copy it again, or save the network's state_dict() as safetensors"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} is not a state_dict\ncopy it again, or use another file")
    # Networks were saved inside DataParallel; of some (AlexNet) only the features were.
    return _convert_keys({key.replace("module.", ""): tensor for key, tensor in state.items()})


def _convert_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    main = {key: tensor for key, tensor in state.items() if not key.startswith(AUXILIARY)}
    return {DOTTED.sub(r"\1\2", key): tensor for key, tensor in main.items()}


def count_classes(state: dict[str, Tensor]) -> int:
    """Return the number of classes of a torchvision classifier, from its state_dict."""
    # The last layer of the head has a row per class; the keys of a file are sorted.
    weights = [k for k in state if k.split(".")[0] in HEADS and k.endswith(".weight")]
    if not weights:
        return 1000  # other weights: loading them raises an error with the missing names
    last = max(weights, key=lambda key: [int(n) for n in re.findall(r"\d+", key)])
    return len(state[last])


def _download_weights(
    models: Any, name: str, download: bool, alternative: str
) -> dict[str, Tensor]:
    file = models.get_model_weights(name).DEFAULT
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        if not download and not (folder / file.url.rpartition("/")[2]).is_file():
            raise FileNotFoundError("not downloaded yet")
        with _set_timeout():
            # The file is checked by the hash in its name, and only tensors are unpickled.
            state = file.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the ImageNet weights of {name} cannot be loaded from {file.url}: {error}\n"
            f"set --weights-dir FOLDER with that file in it, or {alternative}"
        ) from error
    return _convert_keys(state)


@contextlib.contextmanager
def _set_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
