"""The page is self-contained, and text that looks like code is shown, not run."""

import re
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

import reports.write.html
from reports.write.charts import Chart
from reports.write.html import render_html
from reports.write.sections import embed_figure
from reports.write.style import save_figure
from reports.write.tables import Table, to_markdown

PAGE_SCRIPT = Path(reports.write.html.__file__).with_name("page.js").read_text(encoding="utf-8")
HOSTILE = "</script><script>alert(3)</script>"


def render_page(folder: Path, charts: Mapping[str, Chart] | None = None) -> str:
    save_figure(Figure(figsize=(2, 1)), folder / "figures", "one")
    table = to_markdown(Table(("name", "value"), (("<script>alert(1)</script>", "a | b"),), "lr"))
    figure = embed_figure("one", "A figure")
    text = (
        f"# Title & more\n\n> [!WARNING]\n> Careful.\n\n## First\n\n{figure}\n"
        f"\n## Second\n\n{table}\n\n```text\n<img src=x onerror=alert(2)>\n```\n"
    )
    return render_html(text, folder, charts)


def test_the_page_is_self_contained(tmp_path: Path) -> None:
    text = render_page(tmp_path)
    assert re.findall(r'src="([^"]{0,15})', text) == ["data:image/png;"]
    assert set(re.findall(r'href="([^"]*)"', text)) == {"#s1", "#s2"}
    assert 'alt="A figure"' in text
    assert "@import" not in text
    assert "url(" not in text


def test_code_is_shown_and_not_run(tmp_path: Path) -> None:
    text = render_page(tmp_path)
    assert text.count("<script") == 1  # the page's own, after everything else
    assert PAGE_SCRIPT in text.partition("<script>")[2]
    assert "&lt;script&gt;alert(1)" in text
    assert "&lt;img src=x onerror" in text


def test_headings_tables_and_title(tmp_path: Path) -> None:
    text = render_page(tmp_path)
    assert "<title>Title &amp; more</title>" in text
    assert '<h2 id="s2">Second</h2>' in text
    assert '<td style="text-align:right">a | b</td>' in text
    assert "[!WARNING]" not in text
    assert "<blockquote>\n<p>Careful.</p>" in text


def test_a_chart_is_beside_its_figure_and_its_text_ends_no_script(tmp_path: Path) -> None:
    chart = {"data": [{"text": HOSTILE}], "layout": {}}
    text = render_page(tmp_path, {"one": chart, "of no figure": chart})
    assert 'class="chart"><img class="figure" src="data:image/png;' in text
    assert text.count('<script type="application/json">') == 1
    assert "plotly.js (basic" in text
    assert "alert(3)</script>" not in text
    assert text.count("<script") == text.count("</script>") == 3


def test_a_page_without_charts_is_small(tmp_path: Path) -> None:
    assert "plotly.js" not in render_page(tmp_path)
    assert len(render_page(tmp_path)) < 50_000
