"""Class activation maps of any network with feature maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables.errors import UserError


def compute_class_maps(network: nn.Module, pixels: Tensor, classes: Tensor) -> Tensor:
    """Return the contribution of every position to a class: (n, y, x).

    `pixels` are (n, c, h, w), `classes` (n,). The map is the gradient of the class's logit with
    respect to the last feature maps, times these maps, summed over channels, times the number of
    positions. With global average pooling and a linear head, these are the class activation maps
    of Zhou et al. (2016); with hidden layers in the head, Grad-CAM (Selvaraju et al., 2017)
    before its ReLU; without pooling, HiResCAM (Draelos and Carin, 2020). Raises UserError for
    networks without feature maps.
    """
    last_maps: list[Tensor] = []
    has_weights = False

    def store(module: nn.Module, _: Any, output: Any) -> None:
        nonlocal has_weights
        # Outputs before the first weights, such as normalized pixels, are not feature maps.
        has_weights = has_weights or bool(module._parameters)
        is_map = isinstance(output, Tensor) and output.dim() == 4 and output[0, 0].numel() > 1
        if has_weights and is_map and output.requires_grad:
            last_maps[:] = [output]

    was_training = network.training
    network.eval()
    hooks = [module.register_forward_hook(store) for module in network.modules()]
    try:
        with torch.enable_grad():
            # Pixels that require a gradient keep the graph if all weights are frozen. Times 1,
            # because networks may change their input in place, which a leaf does not allow.
            logits = network(pixels.float().requires_grad_() * 1)
            if not last_maps:
                raise UserError(
                    f"{type(network).__name__} has no feature maps (no module returns n x "
                    "channels x height x width), and therefore no class activation maps"
                )
            selected = logits.gather(1, classes[:, None]).sum()
            (gradient,) = torch.autograd.grad(selected, last_maps)
    finally:
        for hook in hooks:
            hook.remove()
        network.train(was_training)
    maps = last_maps[0].detach()
    return (gradient * maps).sum(1) * maps[0, 0].numel()
