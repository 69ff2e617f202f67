"""Class activation maps equal those of the papers; networks without maps are rejected."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainables.errors import UserError
from trainables.models.backbones import build_backbone
from trainables.models.mlp import mlp
from trainables.vision.class_activation import compute_class_maps
from trainables.vision.classification import Normalize


def pixels(size: int = 16, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, channels, size, size), generator=generator).byte()


def features() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        Normalize(torch.full((3,), 0.5), torch.full((3,), 0.25)),
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
    )


CLASSES = torch.tensor([0, 3, 1, 4])


@pytest.mark.parametrize("frozen", [False, True])
def test_a_pooled_linear_head_has_weights_times_features(frozen: bool) -> None:
    body, head = features(), nn.Linear(8, 5)
    network = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    network.requires_grad_(not frozen)
    found = compute_class_maps(network, pixels(), CLASSES)
    with torch.no_grad():
        expected = torch.einsum("nk,nkyx->nyx", head.weight[CLASSES], body.eval()(pixels()))
    assert torch.allclose(found, expected, atol=1e-5)
    assert found.std() > 0.01
    assert network.training


def test_torchvisions_networks() -> None:
    """Dense nets end with an activation that is no module, residual ones with a block."""
    for network, body in (
        (build_backbone("densenet121", 5), lambda n, x: F.relu(n.features(x))),
        (build_backbone("resnet18", 5), lambda n, x: nn.Sequential(*list(n.children())[:-2])(x)),
    ):
        network.eval()
        head = getattr(network, "classifier", None) or network.fc
        images = pixels(64)
        with torch.no_grad():
            expected = torch.einsum(
                "nk,nkyx->nyx", head.weight[CLASSES], body(network, images / 1)
            )
        assert torch.allclose(
            compute_class_maps(network, images, CLASSES), expected, rtol=1e-3, atol=1e-4
        )


def test_hidden_layers_have_grad_cam() -> None:
    hidden = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5))
    body = features()
    network = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), hidden).eval()
    maps = body(pixels()).detach().requires_grad_()
    logits = hidden(maps.mean((2, 3)))
    (slope,) = torch.autograd.grad(logits.gather(1, CLASSES[:, None]).sum(), maps)
    weights = slope.mean((2, 3), keepdim=True) * 16 * 16  # Selvaraju et al., equation 1
    expected = (weights * maps).sum(1)
    assert torch.allclose(compute_class_maps(network, pixels(), CLASSES), expected, atol=1e-5)


def test_a_perceptron_is_rejected() -> None:
    blank = Normalize(torch.zeros(1), torch.ones(1))
    with pytest.raises(UserError, match="no feature maps"):
        compute_class_maps(nn.Sequential(blank, mlp(256, [8], 5)), pixels(16, 1), CLASSES)
