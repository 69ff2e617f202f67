"""torchvision's classifiers with a new head, and weights from a folder, in every usual format."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trainables.errors import UserError
from trainables.models.backbones import backbone, unfreeze_last
from trainables.models.convnet import convnet, small_cnn


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_0"])
def test_heads_are_replaced_or_refused(name: str) -> None:
    if name == "squeezenet1_0":  # its head is a convolution
        with pytest.raises(UserError, match="no linear head"):
            backbone(name, 7)
        return
    assert backbone(name, 7).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


@pytest.mark.parametrize("form", ["safetensors", "pth", "places365"])
def test_weights_come_from_a_folder(tmp_path: Path, form: str) -> None:
    torch.manual_seed(0)
    trained = backbone("resnet18", 365 if form == "places365" else 11)
    state = {key: value.contiguous() for key, value in trained.state_dict().items()}
    if form == "safetensors":
        save_file(state, tmp_path / "resnet18.safetensors")
    elif form == "pth":
        torch.save(state, tmp_path / "resnet18_imagenet.pth")
    else:
        wrapped = {"state_dict": {f"module.{key}": value for key, value in state.items()}}
        torch.save(wrapped, tmp_path / "resnet18_places365.pth.tar")
    origin = "places365" if form == "places365" else "imagenet"
    model = backbone("resnet18", 5, origin, tmp_path)  # type: ignore[arg-type]
    assert torch.equal(model.state_dict()["conv1.weight"], state["conv1.weight"])
    assert model.state_dict()["fc.weight"].shape[0] == 5


def test_missing_weights_say_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"resnet50_places365\.pth\.tar"):
        backbone("resnet50", 5, "places365", tmp_path)
    (tmp_path / "resnet18.pth").write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot be read as weights"):
        backbone("resnet18", 5, "imagenet", tmp_path)
    with pytest.raises(UserError, match="no classifier 'resnet1'"):
        backbone("resnet1", 5)


def test_only_the_last_layers_learn() -> None:
    model = backbone("resnet18", 5)
    unfreeze_last(model, 1)
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]
    unfreeze_last(whole := backbone("resnet18", 5), None)
    assert all(p.requires_grad for p in whole.parameters())


@pytest.mark.parametrize("convolutions", [3, 5, 7])
def test_convnets_have_as_many_convolutions_as_they_say(convolutions: int) -> None:
    model = convnet(convolutions, 5)
    assert sum(isinstance(m, torch.nn.Conv2d) for m in model.modules()) == convolutions
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 5)
    with pytest.raises(ValueError, match="odd number"):
        convnet(convolutions + 1, 5)


def test_the_small_cnn_reads_house_numbers() -> None:
    assert small_cnn()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
