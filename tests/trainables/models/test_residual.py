"""Published parameter counts, to the published digits, and skip connections."""

import pytest
import torch
from torch import nn

from trainables.models.mlp import mlp
from trainables.models.residual import Block, PreActivation, block_cnn, resnet32, wide_resnet14_2


def millions(model: nn.Module) -> float:
    return round(sum(weight.numel() for weight in model.parameters()) / 1e6, 2)


@pytest.mark.parametrize(
    ("blocks", "filters", "published"),
    [(1, 16, 0.02), (5, 16, 0.11), (7, 16, 0.16), (1, 32, 0.08)],
)
@pytest.mark.parametrize("skip", [False, True])
def test_cifar_cnns_are_as_large_as_published(
    blocks: int, filters: int, published: float, skip: bool
) -> None:
    assert millions(block_cnn(blocks=blocks, filters=filters, skip=skip)) == published


@pytest.mark.parametrize(("filters", "published"), [(32, 0.17), (64, 0.68)])
def test_mnist_cnns_are_as_large_as_published(filters: int, published: float) -> None:
    model = block_cnn(blocks=2, filters=filters, skip=True, channels=1)
    assert millions(model) == published
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_teachers_and_the_perceptron_are_as_large_as_published() -> None:
    assert millions(resnet32()) == 0.47
    assert millions(wide_resnet14_2()) == 0.69
    assert millions(mlp(784, [512, 512, 512], 10)) == 0.93


@pytest.mark.parametrize(("blocks", "layers"), [(1, 6), (5, 22), (7, 30)])
def test_layer_counts_are_as_published(blocks: int, layers: int) -> None:
    model = block_cnn(blocks=blocks, filters=4, skip=False)
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == layers


def test_a_skip_adds_the_input() -> None:
    torch.manual_seed(0)
    block = Block(4, 4, 1, skip=True).eval()
    plain = Block(4, 4, 1, skip=False).eval()
    plain.load_state_dict(block.state_dict())
    images = torch.randn(2, 4, 8, 8)
    before = block.second_norm(block.second(torch.relu(block.first_norm(block.first(images)))))
    assert torch.allclose(block(images), torch.relu(before + images))
    assert torch.allclose(plain(images), torch.relu(before))


def test_pre_activation_adds_its_input_unchanged() -> None:
    block = PreActivation(4, 4, 1).eval()
    nn.init.zeros_(block.second.weight)
    images = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(images), images)


def test_blocks_agree_with_a_stage_of_torchvisions_resnet() -> None:
    from torchvision.models import resnet18  # isort: skip

    torch.manual_seed(0)
    theirs = resnet18().layer2
    for norm in (m for m in theirs.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    ours = nn.Sequential(Block(64, 128, 2, skip=True), Block(128, 128, 1, skip=True))
    names = {"conv1": "first", "bn1": "first_norm", "conv2": "second", "bn2": "second_norm"}
    names["downsample"] = "shortcut"
    parts = ((key.split(".", 2), value) for key, value in theirs.state_dict().items())
    ours.load_state_dict({f"{n}.{names[of]}.{rest}": v for (n, of, rest), v in parts})
    images = torch.randn(4, 64, 12, 12)
    assert torch.allclose(ours(images), theirs(images), atol=1e-5)
    assert torch.allclose(ours.eval()(images), theirs.eval()(images), atol=1e-5)


@pytest.mark.parametrize("model", [resnet32(), wide_resnet14_2()])
def test_teachers_learn(model: nn.Module) -> None:
    logits = model(torch.randn(4, 3, 32, 32))
    assert logits.shape == (4, 10)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
