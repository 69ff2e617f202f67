"""Adversarial examples: the smallest changes of pixels that a network can be made to fall for.

Both attacks change each pixel by at most `epsilon` of its 256 levels: epsilon 8 is the 8/255 of
papers. What comes out are float pixels in 0..255.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fgsm(network: nn.Module, pixels: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """One step along the sign of the loss's gradient (Goodfellow et al., 2015, section 4)."""
    clean = pixels.float()
    _, slope = _slope(network, clean, labels)
    return _projected(clean + epsilon * slope.sign(), clean, epsilon)


def pgd(
    network: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    epsilon: float,
    generator: torch.Generator,
    steps: int = 10,
) -> Tensor:
    """Projected gradient descent from a random start (Madry et al., 2018, section 2.1).

    Each step goes 2.5 epsilon / steps, so that any place within reach can be come to from any
    start; of the places that it passes the one of the highest loss is taken.
    """
    clean = pixels.float()
    draw = torch.rand(clean.shape, generator=generator, device=generator.device)
    changed = _projected(clean + epsilon * (2 * draw.to(clean.device) - 1), clean, epsilon)
    worst, highest = changed, torch.full((len(clean),), -torch.inf, device=clean.device)
    for _ in range(steps):
        losses, slope = _slope(network, changed, labels)
        worst, highest = _worse(worst, highest, changed, losses)
        step = 2.5 * epsilon / steps
        changed = _projected(changed + step * slope.sign(), clean, epsilon)
    losses, _ = _slope(network, changed, labels)
    return _worse(worst, highest, changed, losses)[0]


def _slope(network: nn.Module, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    # The loss of every example, (n,), and its gradient by the pixels.
    was_training = network.training
    network.eval()
    with torch.enable_grad():
        leaf = pixels.detach().clone().requires_grad_()
        losses = F.cross_entropy(network(leaf * 1).float(), labels, reduction="none")
        (slope,) = torch.autograd.grad(losses.sum(), leaf)
    network.train(was_training)
    return losses.detach(), slope


def _projected(changed: Tensor, clean: Tensor, epsilon: float) -> Tensor:
    return torch.clamp(changed, clean - epsilon, clean + epsilon).clamp(0, 255)


def _worse(
    worst: Tensor, highest: Tensor, changed: Tensor, losses: Tensor
) -> tuple[Tensor, Tensor]:
    higher = losses > highest
    return torch.where(higher[:, None, None, None], changed, worst), losses.maximum(highest)
