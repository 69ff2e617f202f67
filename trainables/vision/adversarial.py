"""Adversarial attacks on classifiers, within a maximum norm.

Both attacks change each pixel by at most `epsilon`, in units of 1/255: epsilon 8 is the 8/255 of
the papers. They return float pixels in 0..255.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fgsm(network: nn.Module, pixels: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Take one step along the sign of the loss's gradient (Goodfellow et al., 2015, section 4)."""
    clean = pixels.float()
    _, gradient = _compute_gradient(network, clean, labels)
    return _project(clean + epsilon * gradient.sign(), clean, epsilon)


def pgd(
    network: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    epsilon: float,
    generator: torch.Generator,
    steps: int = 10,
) -> Tensor:
    """Run projected gradient descent from a random start (Madry et al., 2018, section 2.1).

    The step size is 2.5 epsilon / steps, so that every point of the epsilon ball can be reached
    from every start. The iterate with the highest loss is returned.
    """
    clean = pixels.float()
    draw = torch.rand(clean.shape, generator=generator, device=generator.device)
    adversarial = _project(clean + epsilon * (2 * draw.to(clean.device) - 1), clean, epsilon)
    worst, highest = adversarial, torch.full((len(clean),), -torch.inf, device=clean.device)
    for _ in range(steps):
        losses, gradient = _compute_gradient(network, adversarial, labels)
        worst, highest = _keep_worst(worst, highest, adversarial, losses)
        step = 2.5 * epsilon / steps
        adversarial = _project(adversarial + step * gradient.sign(), clean, epsilon)
    losses, _ = _compute_gradient(network, adversarial, labels)
    return _keep_worst(worst, highest, adversarial, losses)[0]


def _compute_gradient(network: nn.Module, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    # Returns the loss of every example, (n,), and its gradient with respect to the pixels.
    was_training = network.training
    network.eval()
    with torch.enable_grad():
        leaf = pixels.detach().clone().requires_grad_()
        losses = F.cross_entropy(network(leaf * 1).float(), labels, reduction="none")
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
    network.train(was_training)
    return losses.detach(), gradient


def _project(pixels: Tensor, clean: Tensor, epsilon: float) -> Tensor:
    return torch.clamp(pixels, clean - epsilon, clean + epsilon).clamp(0, 255)


def _keep_worst(
    worst: Tensor, highest: Tensor, adversarial: Tensor, losses: Tensor
) -> tuple[Tensor, Tensor]:
    higher = losses > highest
    return torch.where(higher[:, None, None, None], adversarial, worst), losses.maximum(highest)
