"""Projections of embedded texts to two dimensions by t-SNE and UMAP, once per encoder."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trainables import cache as caches
from trainables.data.text import TextData
from trainables.run import Run

LAYOUT = 1  # version of the figures; a new number makes every machine draw them again
POINTS = {"train": 800, "validation": 300, "test": 300}  # more points take long and overlap
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442")
UMAP_MISSING = "The UMAP projection needs a package: `pip install '.[text]'`\n"


def show_projections(
    run: Run, data: TextData, key: Mapping[str, object], vectors: Mapping[str, np.ndarray]
) -> None:
    """Add figures of the texts' projections to the report; `key` identifies the vectors.

    The texts of the test set are gray, because their labels must not be used.
    """
    methods = ["tsne", "umap"] if importlib.util.find_spec("umap") else ["tsne"]
    for method in methods:

        def write(path: Path, method: str = method) -> None:
            figure_key = {**key, "map": [LAYOUT, method, POINTS]}
            folder = caches.get_or_build(
                run.cache,
                f"{data.name}-map",
                figure_key,
                lambda draft: draw_projection(draft / "map.png", method, data, vectors),
            )
            shutil.copyfile(folder / "map.png", path)

        run.add_artifact(f"map_{method}.png", write)
    if "umap" not in methods:
        run.add_artifact("map_umap.md", lambda path: _write_text(path, UMAP_MISSING))


def draw_projection(
    path: Path, method: str, data: TextData, vectors: Mapping[str, np.ndarray]
) -> None:
    """Draw a sample of every split in one projection, with a panel per split."""
    from matplotlib.figure import Figure

    rows = {
        split: np.sort(np.random.default_rng(0).permutation(len(of))[: POINTS[split]])
        for split, of in vectors.items()
    }
    points = project(method, np.concatenate([vectors[split][rows[split]] for split in rows]))
    groups = np.split(points, np.cumsum([len(of) for of in rows.values()])[:-1])
    figure = Figure(figsize=(12, 4.2), dpi=90, layout="constrained")
    panels = figure.subplots(1, len(rows), sharex=True, sharey=True)
    for panel, split, group in zip(panels, rows, groups, strict=True):
        panel.set_title(f"{split}, {len(group):,} of {len(vectors[split]):,}", fontsize=10)
        panel.set_xticks([])
        panel.set_yticks([])
        if split == "test":
            panel.scatter(*group.T, s=5, color="#888888", linewidths=0)
            continue
        labels = data.splits[split].labels[rows[split]]
        for label, name in enumerate(data.classes):
            color = PALETTE[label % len(PALETTE)]
            panel.scatter(*group[labels == label].T, s=5, color=color, linewidths=0, label=name)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(len(data.classes), 7),
        markerscale=3,
        frameon=False,
    )
    figure.savefig(path)


def project(method: str, vectors: np.ndarray) -> np.ndarray:
    """Project vectors (n, width) to two dimensions (n, 2), reproducibly.

    The methods are t-SNE (van der Maaten and Hinton, 2008) and UMAP (McInnes et al., 2018).
    """
    neighbors = max(2, min(30, (len(vectors) - 1) // 3))
    if method == "umap":
        from umap import UMAP  # type: ignore[import-untyped]

        reducer = UMAP(n_neighbors=min(neighbors, 15), min_dist=0.1, random_state=0, n_jobs=1)
    else:
        from sklearn.manifold import TSNE

        reducer = TSNE(perplexity=neighbors, init="pca", random_state=0)
    return np.asarray(reducer.fit_transform(vectors), dtype=np.float32)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
