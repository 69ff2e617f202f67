"""Import this before torchvision (and before transformers, which imports it).

The package index carries one build of torchvision, linked against CUDA. Beside a CPU build of
torch its compiled operators do not load, and `import torchvision` fails because it describes
two of them that then do not exist. Declaring their schemas is enough: models and transforms use
neither. Where the operators do load, nothing is done.
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
    """Declare the operators if torchvision's own do not load; gives whether that was needed."""
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


declare_missing()
