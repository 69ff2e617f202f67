"""Outputs of the winner: texts inline, pictures next to the report and in the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from reports.__main__ import main
from reports.chapters.exhibits import lower_headings
from reports.write.html import render_html

Write = Callable[..., str]
Read = Callable[..., str]


def show(client: MlflowClient, number: int, folder: Path) -> None:
    (run,) = client.search_runs(["1"], f"tags.trial = '{number}'")
    folder.mkdir()
    (folder / "samples.md").write_text(
        f"# Samples\n\n## Right\n\nNel mezzo {number}\n\n![out](/etc/passwd)\n\n"
        "[![out](../secret.png)](x)\n"
    )
    frames = [Image.new("P", (20, 10), shade) for shade in (0, 1)]
    frames[0].save(folder / "episode.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (20, 10)).save(folder / "confusion.png")
    Image.new("RGB", (20, 10)).save(folder / "map_tsne.png")
    (folder / "state-3.safetensors").write_bytes(b"weights")
    client.log_artifacts(run.info.run_id, str(folder), "checkpoint")


def test_outputs_of_the_winner_are_shown(
    client: MlflowClient,
    write_search: Write,
    read_report: Read,
    some_trials: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    write_search(some_trials)
    for number in (0, 3):
        show(client, number, tmp_path / f"shown{number}")
    text = read_report("digits", "--html")
    assert "## Outputs of the winner" in text
    assert "Nel mezzo 3" in text
    assert "Nel mezzo 0" not in text
    assert "#### Right" in text
    assert "![Episode](figures/winner-episode.gif)" in text
    shown = (tmp_path / "shown3" / "episode.gif").read_bytes()
    assert (tmp_path / "out/figures/winner-episode.gif").read_bytes() == shown
    assert "winner-confusion.png" in text
    assert "winner-map_tsne.png)\n\nPoints of the test set are grey, since its labels" in text
    assert text.count("labels are sealed") == 1
    page = (tmp_path / "out/report.html").read_text()
    assert "data:image/gif;base64," in page
    assert "passwd" not in page
    (parent,) = client.search_runs(["1"], "tags.kind = 'search'")
    logged = {f.path for f in client.list_artifacts(parent.info.run_id, "report/figures")}
    assert "report/figures/winner-episode.gif" in logged


def test_an_output_that_is_no_file_is_said_beside_the_others(
    client: MlflowClient,
    write_search: Write,
    some_trials: list[dict[str, Any]],
    storage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_search(some_trials)
    shown = tmp_path / "shown"
    show(client, 3, shown)
    (run,) = client.search_runs(["1"], "tags.trial = '3'")
    (tmp_path / "answers.md").mkdir()
    (tmp_path / "answers.md" / "text").write_text("x")
    client.log_artifact(run.info.run_id, str(tmp_path / "answers.md"), "checkpoint")
    out = tmp_path / "out"
    assert main(["digits", "--storage", str(storage), "--out", str(out)]) == 3
    assert "checkpoint/answers.md of run" in capsys.readouterr().err
    text = (out / "report.md").read_text()
    assert "### Answers\n\n**Not available**: checkpoint/answers.md of run" in text
    assert "Nel mezzo 3" in text


def test_without_outputs_there_is_no_chapter(
    write_search: Write, read_report: Read, some_trials: list[dict[str, Any]]
) -> None:
    write_search(some_trials)
    assert "# Outputs of the winner" not in read_report()


def test_headings_are_below_those_of_the_report() -> None:
    assert lower_headings("# Title\n\ntext\n## One\n### Two\n") == "text\n#### One\n#### Two"
    assert lower_headings("line\n" * 10_000).endswith("line\n\n(The rest is omitted.)")


@pytest.mark.parametrize("source", ["../x.png", "/etc/hostname", "figures/../x.png", "http://x/y"])
def test_a_page_embeds_only_pictures_of_the_report(source: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"secret")
    page = render_html(f"# T\n\n![shown]({source})\n", tmp_path)
    assert "<img" not in page
    assert "<em>shown</em>" in page
