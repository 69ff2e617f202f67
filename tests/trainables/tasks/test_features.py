"""A linear classifier on embeddings: exact with and without scaling, and shown by projections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.svm import LinearSVC

from trainables.data.ag_news import AG_NEWS
from trainables.data.text import load
from trainables.run import Run
from trainables.tasks import features
from trainables.tasks.features import (
    Config,
    fit_head,
    fit_linear_svc,
    predict_probabilities,
    print_preparation,
)
from trainables.text import encoders, projections
from trainables.text.embeddings import embeddings_path
from trainables.text.encoders import Encoder


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_standard_scaling_becomes_part_of_the_weights(classes: int, scaling: str) -> None:
    draw = np.random.default_rng(0)
    vectors = (draw.standard_normal((150, 6)) * [1, 2, 3, 4, 5, 0] + 2).astype(np.float32)
    labels = (vectors[:, :classes] / [1, 2, 3][:classes]).argmax(1)
    head = torch.nn.Linear(6, classes)
    fit_head(head, vectors, labels, Config(C=0.1, scaling=scaling), fit_linear_svc)
    std = np.where(vectors.std(0) > 0, vectors.std(0), 1)
    scaled = (vectors - vectors.mean(0)) / std if scaling == "standard" else vectors
    fitted = LinearSVC(C=0.1, dual=False, tol=1e-3).fit(scaled, labels)
    probabilities = predict_probabilities(head, vectors)
    assert np.allclose(probabilities.sum(1), 1)
    assert (probabilities.argmax(1) == fitted.predict(scaled)).mean() > 0.98
    if classes == 2:
        odds = 1 / (1 + np.exp(-fitted.decision_function(scaled)))
        np.testing.assert_allclose(probabilities[:, 1], odds, atol=1e-4)


def test_missing_encoders_and_long_steps_are_printed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        encoders, "describe_missing", lambda name: "away" if name == "far" else None
    )
    data = load(AG_NEWS, folder=None, cache=tmp_path, kind="placeholder")
    tiny = Encoder("tiny", None)
    count = sum(len(part) for part in data.splits.values())
    print_preparation(Run(reports=1, cache=tmp_path), data, tiny, ("tiny", "far"))
    output = capsys.readouterr().err
    assert "infeasible in a search: far\nuse a local copy with --set encoder=FOLDER\n" in output
    assert f"embedding {count:,} texts with tiny, once per machine" in output
    print_preparation(Run(reports=1, cache=tmp_path, download=False), data, tiny, ("far",))
    embeddings_path(Run(reports=1, cache=tmp_path), data, tiny).mkdir(parents=True)
    print_preparation(Run(reports=1, cache=tmp_path), data, tiny, ("tiny",))
    assert capsys.readouterr().err == ""


def test_a_projection_is_drawn_once_and_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections.importlib.util, "find_spec", lambda name: None)
    data = load(AG_NEWS, folder=None, cache=tmp_path, kind="placeholder")
    draw = np.random.default_rng(0)
    vectors = {s: draw.standard_normal((len(part), 5)) for s, part in data.splits.items()}
    methods: list[str] = []
    monkeypatch.setattr(
        projections, "draw_projection", _counted(projections.draw_projection, methods)
    )
    for number in range(2):
        run = Run(reports=1, cache=tmp_path, folder=tmp_path / f"trial-{number}")
        projections.show_projections(run, data, {"of": "test"}, vectors)
        assert run.folder is not None
        run._outputs.write(tmp_path)
    assert methods == ["tsne"]
    with Image.open(tmp_path / "map_tsne.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > len(data.classes)
    assert "pip install '.[text]'" in (tmp_path / "map_umap.md").read_text()


def _counted(draw: object, methods: list[str]) -> object:
    def counting(path: Path, method: str, *arguments: object) -> None:
        methods.append(method)
        draw(path, method, *arguments)  # type: ignore[operator]

    return counting


def test_labels_of_the_test_set_are_not_drawn(tmp_path: Path) -> None:
    data = load(AG_NEWS, folder=None, cache=tmp_path, kind="placeholder")
    draw = np.random.default_rng(0)
    vectors = {s: draw.standard_normal((len(part), 5)) for s, part in data.splits.items()}
    projections.draw_projection(tmp_path / "one.png", "tsne", data, vectors)
    data.test.labels[:] = 3 - data.test.labels
    projections.draw_projection(tmp_path / "other.png", "tsne", data, vectors)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


@pytest.mark.slow
def test_umap_separates_clusters() -> None:
    pytest.importorskip("umap")
    draw = np.random.default_rng(0)
    vectors = np.concatenate([draw.normal(0, 1, (40, 5)), draw.normal(30, 1, (40, 5))])
    flat = projections.project("umap", vectors.astype(np.float32))
    middles = flat[:40].mean(0), flat[40:].mean(0)
    apart = np.linalg.norm(middles[0] - middles[1])
    assert apart > 2 * max(np.linalg.norm(flat[:40] - middles[0], axis=1).mean(), 0.1)


def test_one_vs_rest_separates_classes_by_one_weight_row_each() -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(300) % 3
    vectors = (np.eye(3)[labels] + 0.1 * draw.standard_normal((300, 3))).astype(np.float32)
    weights, intercepts = features.fit_one_vs_rest(vectors, labels, 10.0)
    assert (weights.shape, intercepts.shape) == ((3, 3), (3,))
    assert ((vectors @ weights.T + intercepts).argmax(1) == labels).mean() == 1.0
