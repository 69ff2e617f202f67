from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from cluster.tuning.notebook import NotebookDisplay, to_html


class Handle:
    """Keeps what the output of a cell shows."""

    def __init__(self) -> None:
        self.pages: list[Any] = []

    def update(self, page: Any) -> None:
        self.pages.append(page)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    display = pytest.importorskip("IPython.display")
    handles: list[Handle] = []

    def show(page: Any, *, display_id: bool) -> Handle:
        assert display_id
        handles.append(Handle())
        handles[-1].update(page)
        return handles[-1]

    monkeypatch.setattr(display, "display", show)
    return handles


def make_table(text: str) -> Table:
    table = Table.grid()
    table.add_row(text)
    return table


def test_one_output_is_replaced(shown: list[Handle]) -> None:
    display = NotebookDisplay(Console(file=io.StringIO(), force_jupyter=True))
    display.start()
    for text in ("one", "two <b>", "three"):
        display.update(make_table(text), refresh=True)
    display.stop()
    assert len(shown) == 1
    assert [page.data.count("<pre") for page in shown[0].pages] == [1, 1, 1]
    assert "two &lt;b&gt;" in shown[0].pages[1].data


def test_a_quiet_console_shows_nothing(shown: list[Handle]) -> None:
    display = NotebookDisplay(Console(quiet=True, force_jupyter=True))
    display.update(make_table("one"))
    assert not shown


def test_colours_are_kept() -> None:
    page = to_html("[red]failed[/] :rocket:")
    assert "color: #800000" in page and ":rocket:" in page
