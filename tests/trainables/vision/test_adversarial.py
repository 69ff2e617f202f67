"""Attacks stay within epsilon and follow their papers."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.vision.adversarial import fgsm, pgd
from trainables.vision.classification import Normalize


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """A small net that tells light from dark halves in noise, and what it was trained on."""
    torch.manual_seed(0)
    labels = torch.arange(256) % 4
    noise = torch.randint(60, 180, (256, 1, 8, 8)).float()
    for label, (y, x) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        noise[labels == label, :, y : y + 4, x : x + 4] += 25
    pixels = noise.byte()
    network = nn.Sequential(
        Normalize(torch.tensor([0.5]), torch.tensor([0.2])),
        nn.Conv2d(1, 8, 4, stride=4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    updates = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(60):
        updates.zero_grad()
        F.cross_entropy(network(pixels), labels).backward()
        updates.step()
    return network.eval(), pixels, labels


def accuracy(network: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    return float((network(pixels.clone()).argmax(1) == labels).float().mean())


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("epsilon", [0.0, 2.0, 60.0])
def test_no_pixel_changes_by_more_than_epsilon(
    trained: tuple[nn.Module, Tensor, Tensor], epsilon: float
) -> None:
    network, pixels, labels = trained
    edges = torch.cat([pixels[:2] * 0, pixels[:2] * 0 + 255, pixels])
    answers = torch.cat([labels[:4], labels])
    for found in (
        fgsm(network, edges, answers, epsilon),
        pgd(network, edges, answers, epsilon, generator()),
    ):
        assert (found - edges.float()).abs().max() <= epsilon
        assert found.min() >= 0
        assert found.max() <= 255


def test_epsilon_zero_changes_nothing(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, pixels, labels = trained
    clean = accuracy(network, pixels, labels)
    assert clean > 0.9
    assert accuracy(network, fgsm(network, pixels, labels, 0), labels) == clean
    assert accuracy(network, pgd(network, pixels, labels, 0, generator()), labels) == clean


def test_more_steps_are_at_least_as_strong(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, pixels, labels = trained
    clean = accuracy(network, pixels, labels)
    for epsilon in (4, 8, 16):
        one = accuracy(network, fgsm(network, pixels, labels, epsilon), labels)
        many = accuracy(network, pgd(network, pixels, labels, epsilon, generator()), labels)
        assert many <= one < clean


def test_fgsm_is_the_papers_step(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, pixels, labels = trained
    x = pixels.float().requires_grad_()
    F.cross_entropy(network[1:]((x / 255 - 0.5) / 0.2), labels).backward()  # type: ignore[index]
    assert x.grad is not None
    by_hand = (x + 3 * x.grad.sign()).clamp(0, 255)
    assert torch.equal(fgsm(network, pixels, labels, 3), by_hand.detach())


def test_equal_seeds_have_equal_results(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, pixels, labels = trained
    one, two = (pgd(network, pixels, labels, 4, generator()) for _ in range(2))
    assert torch.equal(one, two)
