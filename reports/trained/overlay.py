"""Draw images with class activation maps over them, and their most probable classes."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from reports.trained.crops import Pixels
from reports.write.labels import to_label
from reports.write.style import BLUE

TOP = 3  # classes shown


def draw_picture(axes: Axes, pixels: Pixels, heatmap: NDArray[np.float32] | None = None) -> None:
    """Draw (c, y, x) pixels, in grey under a class activation map (y, x) where there is one."""
    image = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if heatmap is None:
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        return
    grey = np.asarray(Image.fromarray(image).convert("L"))
    axes.imshow(grey, cmap="gray", vmin=-120, vmax=310)
    axes.imshow(scale_map(heatmap, grey.shape), cmap="inferno", vmin=0, vmax=1, alpha=0.55)


def scale_map(heatmap: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a map resized to an image, with evidence against the class as 0, at most 1."""
    evidence = np.maximum(np.asarray(heatmap, np.float32), 0)
    highest = float(evidence.max())
    scaled = Image.fromarray(evidence / highest if highest > 0 else evidence)
    bigger = scaled.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(bigger, np.float32), 0, 1)


def draw_top_classes(
    axes: Axes, probabilities: NDArray[np.float64], names: tuple[str, ...]
) -> None:
    """Draw bars of the most probable classes, the first on top."""
    order = np.argsort(-probabilities, kind="stable")[:TOP]
    axes.barh(range(len(order)), probabilities[order], color=BLUE, height=0.34, align="edge")
    for row, label in enumerate(order):
        text = (
            f"{to_label(names[label], 28, f'class {label}')}: {probabilities[label] * 100:.1f} %"
        )
        axes.text(0, row - 0.06, text, va="bottom", fontsize=9)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.axis("off")


def list_top_classes(probabilities: NDArray[np.float64], names: tuple[str, ...]) -> str:
    """Return the most probable classes with their probabilities, one per line."""
    order = np.argsort(-probabilities, kind="stable")[:TOP]
    return "\n".join(
        f"{to_label(names[c], 16, f'class {c}')}: {probabilities[c] * 100:.0f} %" for c in order
    )
