"""torchvision's classifiers with a new head, and weights from a folder in every format."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trainables.errors import UserError
from trainables.models.backbones import (
    build_backbone,
    check_size,
    count_classes,
    find_weights,
    get_pretrained_mean_std,
    read_weights,
    replace_head,
    unfreeze_last,
)
from trainables.models.convnet import convnet, small_cnn

FAMILIES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5"),
    *("squeezenet1_1", "swin_t", "vgg11", "vit_b_16"),
)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gets_a_new_head(name: str) -> None:
    side = 299 if name == "inception_v3" else 224
    with torch.device("meta"):
        assert count_classes(build_backbone(name, 9).state_dict()) == 9
        model = build_backbone(name, 7, hidden=5).eval()
        assert model(torch.zeros(2, 3, side, side)).shape == (2, 7)
    unfreeze_last(model, 2)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    assert [weight.shape[0] for weight in learning] == [5, 5, 7, 7]


def test_a_network_without_a_head_is_rejected() -> None:
    with pytest.raises(UserError, match=r"no linear head called fc, .*it has 0"):
        replace_head(torch.nn.Sequential(torch.nn.ReLU()), 7)


@pytest.mark.parametrize("form", ["safetensors", "pth", "places365"])
def test_weights_are_loaded_from_a_folder(tmp_path: Path, form: str) -> None:
    torch.manual_seed(0)
    trained = build_backbone("resnet18", 365 if form == "places365" else 11)
    state = {key: value.contiguous() for key, value in trained.state_dict().items()}
    if form == "safetensors":
        save_file(state, tmp_path / "resnet18.safetensors")
    elif form == "pth":
        torch.save(state, tmp_path / "resnet18_imagenet.pth")
    else:
        # As Places365 is published: by an old torch, from within DataParallel, without counters.
        inner = {f"module.{k}": v for k, v in state.items() if "num_batches_tracked" not in k}
        wrapped = {"epoch": 90, "arch": "resnet18", "state_dict": OrderedDict(inner)}
        wrapped["best_prec1"] = torch.tensor(54.7)
        path = tmp_path / "resnet18_places365.pth.tar"
        torch.save(wrapped, path, _use_new_zipfile_serialization=False)
    origin = "places365" if form == "places365" else "imagenet"
    model = build_backbone("resnet18", 5, origin, tmp_path)  # type: ignore[arg-type]
    assert torch.equal(model.state_dict()["conv1.weight"], state["conv1.weight"])
    assert model.state_dict()["fc.weight"].shape[0] == 5


def test_missing_weights_name_the_expected_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"resnet50_places365\.pth\.tar"):
        build_backbone("resnet50", 5, "places365", tmp_path)
    (tmp_path / "resnet18.pth").write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot be read as weights: not all values are tensors"):
        build_backbone("resnet18", 5, "imagenet", tmp_path)
    torch.save(torch.nn.ReLU(), tmp_path / "resnet18.pth")
    with pytest.raises(UserError, match=r"not all values are tensors(.|\n)*state_dict\(\)"):
        build_backbone("resnet18", 5, "imagenet", tmp_path)
    for wrong in (torch.zeros(3), {"epoch": 3}, {"state_dict": [torch.zeros(3)]}):
        torch.save(wrong, tmp_path / "resnet18.pth")
        with pytest.raises(UserError, match="is not a state_dict"):
            build_backbone("resnet18", 5, "imagenet", tmp_path)
    with pytest.raises(UserError, match="no classifier 'resnet1'"):
        build_backbone("resnet1", 5)


def test_only_the_last_layers_are_trained() -> None:
    model = build_backbone("resnet18", 5)
    unfreeze_last(model, 1)
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]
    unfreeze_last(whole := build_backbone("resnet18", 5), None)
    assert all(p.requires_grad for p in whole.parameters())


@pytest.mark.parametrize(("convolutions", "size"), [(3, 90_150), (5, 164_134), (7, 238_118)])
def test_convnets_have_that_many_convolutions_and_parameters(convolutions: int, size: int) -> None:
    assert sum(p.numel() for p in convnet(convolutions, 102).parameters()) == size
    model = convnet(convolutions, 5)
    assert sum(isinstance(m, torch.nn.Conv2d) for m in model.modules()) == convolutions
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 5)
    with pytest.raises(ValueError, match="is not odd"):
        convnet(convolutions + 1, 5)


def test_the_small_cnn_takes_house_numbers() -> None:
    assert small_cnn()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_frozen_layers_keep_weights_and_statistics() -> None:
    model = build_backbone("shufflenet_v2_x0_5", 3)
    unfreeze_last(model, 2)  # the head and the last batch norm
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    updates = torch.optim.SGD(learning, lr=0.1)
    model.train()
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    updates.step()
    moved = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    statistics = {f"conv5.1.{name}" for name in ("running_mean", "running_var")}
    assert moved >= {"fc.weight", "fc.bias", "conv5.1.bias", *statistics}
    assert {name.rpartition(".")[0] for name in moved} == {"fc", "conv5.1"}


def test_a_head_may_have_a_hidden_layer() -> None:
    model = build_backbone("resnet18", 5, hidden=16, dropout=0.5)
    unfreeze_last(model, 2)
    learning = {n: tuple(p.shape) for n, p in model.named_parameters() if p.requires_grad}
    assert learning == {
        **{"fc.0.weight": (16, 512), "fc.0.bias": (16,)},
        **{"fc.3.weight": (5, 16), "fc.3.bias": (5,)},
    }
    assert isinstance(model.fc[2], torch.nn.Dropout)


def test_torchvisions_own_file_and_keys_with_dots(tmp_path: Path) -> None:
    name = "resnet18-f37072fd.pth"
    torch.save(
        {
            "features.module.denselayer1.norm.1.weight": torch.ones(1),
            "aux1.fc": torch.ones(1),
        },
        tmp_path / name,
    )
    assert find_weights("resnet18", "imagenet", tmp_path) == tmp_path / name
    assert set(read_weights(tmp_path / name)) == {"features.denselayer1.norm1.weight"}
    with pytest.raises(UserError, match=r"f37072fd\.pth does not contain the weights of resnet18"):
        build_backbone("resnet18", 5, "imagenet", tmp_path)


def test_download_false_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    wanted = r"(?s)not downloaded yet.*--weights-dir FOLDER with that file in it, or do without"
    with pytest.raises(UserError, match=wanted):
        build_backbone("resnet18", 5, "imagenet", download=False, alternative="do without")


def test_unsupported_image_sizes_are_rejected() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 9))
    check_size(model, 9)
    with pytest.raises(UserError, match="does not accept images of 8 x 8"):
        check_size(model, 8)
    assert model.training


def test_normalization_is_that_of_torchvisions_weights() -> None:
    from torchvision import models

    for name in models.list_models(module=models):
        if name in ("googlenet", "inception_v3"):  # torchvision turns theirs around inside
            assert get_pretrained_mean_std(name)[0].tolist() == [0.5] * 3
            continue
        preset = models.get_model_weights(name).DEFAULT.transforms()
        assert torch.allclose(get_pretrained_mean_std(name)[0], torch.tensor(preset.mean)), name
        assert torch.allclose(get_pretrained_mean_std(name)[1], torch.tensor(preset.std)), name
