"""Where a convolutional network looks: class activation maps of any network with feature maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables.errors import UserError


def compute_class_maps(network: nn.Module, pixels: Tensor, classes: Tensor) -> Tensor:
    """Give how much every place spoke for a class: (n, c, h, w) pixels, (n,) classes to (n, y, x).

    The gradient of the class's logit by the last feature maps, times these, summed over their
    channels, times the number of places. Where the head is linear on maps that were averaged over
    all places, these are the class activation maps of Zhou et al. (2016), the weights of the
    class times the maps; where it has hidden layers, Grad-CAM (Selvaraju et al., 2017), before
    its cut at 0; where it reads places apart, HiResCAM (Draelos and Carin, 2020). Raises
    UserError for networks without feature maps.
    """
    kept: list[Tensor] = []
    learned = False

    def keep(module: nn.Module, _: Any, output: Any) -> None:
        nonlocal learned
        # What comes before the first weights, such as normalised pixels, is no feature map.
        learned = learned or bool(module._parameters)
        maps = isinstance(output, Tensor) and output.dim() == 4 and output[0, 0].numel() > 1
        if learned and maps and output.requires_grad:
            kept[:] = [output]

    was_training = network.training
    network.eval()
    hooks = [module.register_forward_hook(keep) for module in network.modules()]
    try:
        with torch.enable_grad():
            # A gradient by the pixels keeps a graph where the weights are frozen. Not the leaf
            # itself goes in: networks may change their input in place.
            logits = network(pixels.float().requires_grad_() * 1)
            if not kept:
                raise UserError(
                    f"{type(network).__name__} has no feature maps (no module gives n x channels "
                    "x height x width), so there is no class activation map of it"
                )
            chosen = logits.gather(1, classes[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, kept)
    finally:
        for hook in hooks:
            hook.remove()
        network.train(was_training)
    maps = kept[0].detach()
    return (gradient * maps).sum(1) * maps[0, 0].numel()
