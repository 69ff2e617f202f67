"""The HTML page of a report in a browser: tables are sorted, points answer, nothing overflows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from reports.chapters.hyperparameters.chart import make_chart
from reports.read.space import Parameter
from reports.read.winner import choose_winner
from reports.write.html import render_html
from reports.write.sections import embed_figure
from reports.write.style import save_figure
from reports.write.tables import Table, to_markdown
from tests.support.make_search import make_search, make_trial

SPACE = (
    Parameter("learning_rate", 1e-4, 1.0, log=True),
    Parameter("kind", choices=("<img src=x onerror=document.hacked=1>", "b")),
)
ROWS = (
    ("1", "1 min 05 s", "zwei", "2026-10-02"),
    ("10", "59.0 s", "eins", "2026-01-31"),
    ("9", "2 h 00 min", "drei", "2026-02-01"),
)

pytestmark = pytest.mark.slow


@pytest.fixture
def file(tmp_path: Path) -> Path:
    kinds = SPACE[1].choices
    trials = [
        make_trial(n, 0.9 + n / 50, params={"learning_rate": f"0.0{n + 1}", "kind": kinds[n % 2]})
        for n in range(4)
    ]
    search = make_search(*trials)
    choice = choose_winner(search)
    assert choice is not None
    save_figure(Figure(figsize=(4, 2)), tmp_path / "figures", "hyperparameters")
    table = to_markdown(Table(("trial", "device time", "word", "date"), ROWS, "lrll"))
    wide = to_markdown(Table(tuple(f"column {i}" for i in range(40)), (("1",) * 40,), "r" * 40))
    figure = embed_figure("hyperparameters", "points")
    text = f"# A report\n\n## Table\n\n{table}\n\n{wide}\n\n## Figure\n\n{figure}\n"
    charts = {"hyperparameters": make_chart(search, choice, SPACE)}
    (tmp_path / "report.html").write_text(render_html(text, tmp_path, charts), encoding="utf-8")
    return tmp_path / "report.html"


def open_page(browser: Any, file: Path, width: int, scheme: str = "light") -> Any:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda request: page.errors.append(request.url))
    page.goto(file.as_uri(), wait_until="domcontentloaded")
    page.wait_for_selector(".drawn", state="attached")
    assert set(page.errors) == {file.as_uri()}  # no script fails, and nothing else is loaded
    return page


def read_column(page: Any, column: int) -> list[str]:
    script = f"[...document.querySelector('table').tBodies[0].rows].map(r => r.cells[{column}]"
    texts: list[str] = page.evaluate(f"{script}.textContent)")
    return texts


@pytest.mark.timeout(300)
def test_a_click_sorts_a_table_by_numbers_times_or_words(browser: Any, file: Path) -> None:
    page = open_page(browser, file, 800)
    page.click("th:has-text('trial')")
    assert read_column(page, 0) == ["1", "9", "10"]
    page.click("th:has-text('trial')")
    assert read_column(page, 0) == ["10", "9", "1"]
    page.click("th:has-text('device time')")
    assert read_column(page, 1) == ["59.0 s", "1 min 05 s", "2 h 00 min"]
    page.click("th:has-text('word')")
    assert read_column(page, 2) == ["drei", "eins", "zwei"]
    page.click("th:has-text('date')")
    assert read_column(page, 3) == ["2026-01-31", "2026-02-01", "2026-10-02"]


@pytest.mark.timeout(300)
def test_a_point_answers_to_the_pointer_and_the_menu_changes_the_axis(
    browser: Any, file: Path
) -> None:
    page = open_page(browser, file, 800)
    page.locator(".plot").scroll_into_view_if_needed()
    star = page.locator(".scatterlayer .trace").last.locator("path").bounding_box()
    page.mouse.move(star["x"] + star["width"] / 2, star["y"] + star["height"] / 2)
    page.wait_for_selector(".hovertext")
    hover = page.locator(".hovertext").first.text_content()
    assert "trial 3, complete" in hover
    assert "learning_rate = 0.04" in hover
    assert page.locator(".xtitle").text_content() == "learning_rate"
    page.locator(".updatemenu-header").click()
    page.locator(".updatemenu-dropdown-button").nth(1).click()
    page.wait_for_function("document.querySelector('.xtitle').textContent === 'kind'")
    assert page.evaluate("document.hacked") is None
    assert "<img" in page.locator(".xaxislayer-above").text_content()  # shown as it is


@pytest.mark.timeout(300)
@pytest.mark.parametrize("width", [400, 800, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_a_wide_table_scrolls(
    browser: Any, file: Path, width: int, scheme: str
) -> None:
    page = open_page(browser, file, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = "document.querySelectorAll('.wide')[1]"
    assert page.evaluate(f"{wide}.scrollWidth > {wide}.clientWidth")
    light = (
        page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )
    assert light == (scheme == "light")
    assert page.evaluate("document.querySelector('.chart img').checkVisibility()") is False
    for shown in (".plot", "img.figure"):  # drawn on white
        look = f"getComputedStyle(document.querySelector('{shown}')).filter"
        assert (page.evaluate(look) == "none") == (scheme == "light")
    page.emulate_media(media="print")
    assert page.evaluate("document.querySelector('.chart img').checkVisibility()")
    assert page.evaluate("document.querySelector('.plot').checkVisibility()") is False
