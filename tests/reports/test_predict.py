"""`reports predict`, --explain and --robust with a network that is trained here."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image
from sklearn.datasets import load_digits

from reports import predict
from reports.__main__ import main
from reports.trained import models
from reports.trained.crops import cut_five_crops, describe_shrinking, read_picture, resize_picture
from tests.support.make_search import list_openings
from tests.support.paths import SPACES
from tests.support.trained import trained, write_trained
from trainables.errors import UserError

Write = Callable[..., str]
LOOKER = str(SPACES / "looker.py")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("looker"), LOOKER)


@pytest.fixture
def run_id(
    client: MlflowClient, write_search: Write, weights: Path, tmp_path: Path
) -> Iterator[str]:
    yield write_trained(client, write_search, LOOKER, weights, tmp_path)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Write an image of a handwritten 3: large, RGB and wider than high."""
    bunch = load_digits()
    image = bunch.images[bunch.target == 3][0] * 15
    wide = np.pad(image, ((1, 1), (3, 3))).astype(np.uint8)
    path = tmp_path / "a 3.png"
    Image.fromarray(wide).convert("RGB").resize((140, 100)).save(path)
    return path


def arguments(storage: Path, tmp_path: Path, *more: object) -> list[str]:
    options = ["--storage", storage, "--out", tmp_path / "out", "--space", LOOKER]
    return [str(word) for word in ["digits", *more, *options]]


def test_an_image_is_classified_and_drawn(
    run_id: str,
    weights: Path,
    storage: Path,
    tmp_path: Path,
    picture: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["predict", *arguments(storage, tmp_path, picture, picture)]) == 0
    output = capsys.readouterr().out
    rows = re.findall(r"^  (\d)  (\d)  +(\d+\.\d\d) %", output, re.MULTILINE)
    crops = cut_five_crops(resize_picture(read_picture(picture), (1, 8, 8)), 8, 8)
    expected = models.restore_model(LOOKER, {}, weights)(crops).mean(axis=0)
    best = np.argsort(-expected)[:5]
    once = [(f"{i}", f"{c}", f"{expected[c] * 100:.2f}") for i, c in enumerate(best, 1)]
    assert rows == once * 2
    for name in ("predict-a-3.png", "predict-a-3-2.png"):
        assert f"figure: {tmp_path / 'out' / name}" in output
        with Image.open(tmp_path / "out" / name) as drawn:
            assert drawn.width > 2 * drawn.height  # picture, map and classes side by side
    assert "warning: 140 x 100 pixels, shrunk to the model's 8 x 8" in output
    assert main(["predict", *arguments(storage, tmp_path, picture)]) == 0  # overwrites nothing
    assert f"figure: {tmp_path / 'out' / 'predict-a-3-3.png'}" in capsys.readouterr().out


def test_a_network_without_feature_maps_classifies_without_a_map(
    client: MlflowClient,
    write_search: Write,
    storage: Path,
    tmp_path: Path,
    picture: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    best = trained(tmp_path / "trial", "digits", epochs=1)
    write_trained(client, write_search, "digits", best, tmp_path)
    arguments = ["predict", "digits", str(picture), "--storage", str(storage), "--trial", "0"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert "no map: Sequential has no feature maps" in output
    assert (tmp_path / "out" / "predict-a-3.png").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "There is no image file"), (b"not one", "is not a readable image")],
)
def test_a_file_that_is_not_an_image_is_an_error(
    content: bytes | None,
    message: str,
    storage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "there.jpg"
    if content is not None:
        path.write_bytes(content)
    assert main(["predict", *arguments(storage, tmp_path, path)]) == 2
    assert message in capsys.readouterr().err


def test_a_model_of_other_inputs_and_an_unknown_trial_are_errors(
    run_id: str,
    storage: Path,
    tmp_path: Path,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Reader:
        example = np.zeros((1, 80), np.int64)
        classes = ("a", "b")

    monkeypatch.setattr(predict, "restore_run", lambda *_: Reader())
    assert main(["predict", *arguments(storage, tmp_path, picture)]) == 2
    assert (
        "are not image classifiers: they take int64 inputs of shape 80" in capsys.readouterr().err
    )
    assert main(["predict", *arguments(storage, tmp_path, picture, "--trial", 7)]) == 2
    assert "digits has no trial 7; it has 0 to 0" in capsys.readouterr().err


def test_missing_weights_are_an_error(
    write_search: Write,
    some_trials: list[dict[str, Any]],
    storage: Path,
    tmp_path: Path,
    picture: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_search(some_trials)
    assert main(["predict", *arguments(storage, tmp_path, picture)]) == 2
    assert "The weights of trial 3 of digits are not stored" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA", "I;16"])
def test_images_of_every_mode_are_read(mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"one.{'tif' if mode == 'CMYK' else 'png'}"
    image = Image.fromarray(np.full((9, 7), 200, np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.full((9, 7), 200 * 256, np.uint16))
    else:
        image = image.convert(mode)
    image.save(path)
    found = np.asarray(read_picture(path))
    assert found.shape == (9, 7, 3)
    assert (abs(found.astype(int) - 200) < 3).all()


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert np.asarray(read_picture(tmp_path / "clear.png")).min() == 255


def test_an_image_is_rotated_by_its_exif_tag(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    Image.new("RGB", (20, 10)).save(tmp_path / "one.jpg", exif=exif)
    assert read_picture(tmp_path / "one.jpg").size == (10, 20)


@pytest.mark.parametrize(
    ("size", "side", "warned"),
    [((300, 200), 8, True), ((300, 30), 8, False), ((64, 64), 32, False), ((4000, 3000), 224, 0)],
)
def test_a_large_image_for_a_small_input_is_warned_about(
    size: tuple[int, int], side: int, warned: bool
) -> None:
    assert bool(describe_shrinking(Image.new("L", size), side, side)) == warned


def test_crops_are_centre_and_corners() -> None:
    picture = Image.fromarray(np.arange(64 * 128, dtype=np.uint8).reshape(64, 128))
    for channels, height, high in ((1, 28, 30), (3, 32, 34), (1, 8, 9), (3, 112, 128)):
        found = resize_picture(picture, (channels, height, height))
        assert found.shape[:2] == (channels, high)
        assert found.shape[2] == pytest.approx(2 * high, abs=2)
        crops = cut_five_crops(found, height, height)
        assert crops.shape == (5, channels, height, height)
        assert np.array_equal(crops[1], found[:, :height, :height])
        assert np.array_equal(crops[4], found[:, -height:, -height:])
        y, x = (found.shape[1] - height) // 2, (found.shape[2] - height) // 2
        assert np.array_equal(crops[0], found[:, y : y + height, x : x + height])


def test_a_report_explains_and_attacks_the_winner(
    run_id: str, client: MlflowClient, storage: Path, tmp_path: Path
) -> None:
    assert main([*arguments(storage, tmp_path), "--explain", "--robust", "--html"]) == 0
    text = (tmp_path / "out" / "report.md").read_text()
    assert "## What the winner looks at" in text
    gains = dict(re.findall(r"^\| (validation|test) \| (\d+) \| \d.*points", text, re.MULTILINE))
    assert gains == {"validation": "359", "test": "359"}
    rows = re.findall(r"^\| (\d)/255 \| ([\d.]+) % .*?\| ([\d.]+) % ", text, re.MULTILINE)
    assert [row[0] for row in rows] == ["0", "1", "2", "4", "8"]
    fgsm, pgd = ([float(row[i]) for row in rows] for i in (1, 2))
    output = re.search(r"winner test accuracy: ([\d.]+) %", text)
    assert output is not None
    assert fgsm[0] == pgd[0] == float(output[1])  # unchanged pixels, all of the test set
    assert all(p <= f for f, p in zip(fgsm, pgd, strict=True))
    assert pgd[-1] < pgd[0]
    assert "on 359 test examples" in text
    for name in ("looked_at", "robustness"):
        assert (tmp_path / "out" / "figures" / f"{name}.png").exists()


@pytest.mark.parametrize("option", ["--explain", "--robust"])
def test_other_data_are_rejected_before_the_test_set_is_opened(
    option: str,
    run_id: str,
    client: MlflowClient,
    storage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = client.get_run(run_id).data.tags["mlflow.parentRunId"]
    client.set_tag(parent, "data_fingerprint", "other")
    assert main([*arguments(storage, tmp_path), option]) == 2
    assert "not the data of digits" in capsys.readouterr().err
    assert list_openings(client, parent) == []


def test_a_data_folder_that_does_not_exist_is_an_error(
    run_id: str, storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(storage, tmp_path), "--explain", "--data-dir", "/nowhere"]) == 2
    assert "--data-dir /nowhere is not a folder" in capsys.readouterr().err


def test_an_image_that_is_too_large_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.new("L", (100, 100)).save(tmp_path / "huge.png")
    with pytest.raises(UserError, match="not a readable image"):
        read_picture(tmp_path / "huge.png")
