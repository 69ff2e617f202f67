"""Import this before torchvision (and before transformers, which imports it).

Some package indexes have only a CUDA build of torchvision. With a CPU build of torch its compiled
operators do not load, and `import torchvision` fails because two of them do not exist. Declaring
their schemas is enough, because models and transforms do not use them. If the operators load,
nothing is done.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def declare_missing() -> bool:
    """Declare the operators if torchvision's own do not load; return whether they were missing."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or hasattr(torch.ops.torchvision, "nms"):
        return False
    for library in Path(spec.origin).parent.glob("_C*"):
        try:
            torch.ops.load_library(library)
            return False
        except OSError:
            continue
    for schema in SCHEMAS:
        torch.library.define(
            f"torchvision::{schema.partition('(')[0]}", schema[schema.find("(") :]
        )
    return True


MISSING = declare_missing()
"""Whether the compiled operators do not load."""
