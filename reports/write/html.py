"""A report as one self-contained HTML file with its pictures, for offline use and print.

Tables are sorted by a click on a column, and a figure with a chart shows the chart instead. Where
no script runs, and in print, the figures remain.
"""

import base64
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reports.write.charts import SCRIPT, Chart, to_script_json
from reports.write.style import DPI

SCREEN = 105  # pixels of a page per inch of a figure
PICTURE = re.compile(r'(?:<a href="[^"]*">\s*)?<img src="([^"]+)" alt="([^"]*)"[^>]*>(?:\s*</a>)?')
PHOTOGRAPHS = ("looked_at",)
"""Figures of pictures, which keep their colours on a dark page."""
FIGURE = re.compile(r"figures/[\w-]+\.(png|gif)")


def render_html(
    text: str,
    folder: Path,
    charts: Mapping[str, Chart] | None = None,
    files: Collection[str] = (),
) -> str:
    """Return the markdown of a report as a whole page, with its pictures read from `folder`.

    `charts` take the place of the figures with their names. `files` are pictures that the report
    has not drawn.
    """
    charts = charts or {}
    kept = {*PHOTOGRAPHS, *(Path(name).stem for name in files)}
    # Raw HTML in a report can only come from a name or an error message: it is shown, not run.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    # GitHub's mark of a warning is not markdown; the block quote around it is kept.
    tokens = parser.parse(text.replace("> [!WARNING]\n", ""))

    def render(part: list[Token]) -> str:
        body = parser.renderer.render(part, parser.options, {})
        body = PICTURE.sub(lambda image: _embed(image[1], image[2], folder, charts, kept), body)
        body = body.replace("<table>", '<div class="wide"><table>')
        return body.replace("</table>", "</table></div>")

    starts = [i for i, token in enumerate(tokens) if token.type == "heading_open"]
    chapters = [i for i in starts if tokens[i].tag == "h2"]
    for number, i in enumerate(chapters, 1):
        tokens[i].attrSet("id", f"s{number}")
    # A heading is three tokens: open, its text, close.
    end = 3 if starts[:1] == [0] and tokens[0].tag == "h1" else 0
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page_script = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        title=tokens[1].content if end else "Report",
        heading=render(tokens[:end]),
        chapters=[render([tokens[i + 1]]) for i in chapters],
        body=render(tokens[end:]),
        scripts=[*([SCRIPT.read_text(encoding="utf-8")] if charts else []), page_script],
    )


def _embed(
    source: str, alt: str, folder: Path, charts: Mapping[str, Chart], kept: Collection[str]
) -> str:
    # The text of a task may name any file or address: only figures of the report are shown.
    source = unquote(source)  # a parser of markdown quotes letters that are not ASCII
    if not FIGURE.fullmatch(source) or not (folder / source).is_file():
        return f"<em>{alt}</em>"
    content = (folder / source).read_bytes()
    data = base64.b64encode(content).decode("ascii")
    if source.endswith(".gif"):
        return f'<img src="data:image/gif;base64,{data}" alt="{alt}">'
    # Bytes 16 to 20 of a PNG are its width; scaled by it, all figures have the same font size.
    width = int.from_bytes(content[16:20], "big") * SCREEN // DPI
    kind = "" if Path(source).stem in kept else ' class="figure"'
    image = f'<img{kind} src="data:image/png;base64,{data}" alt="{alt}" width="{width}">'
    if (chart := charts.get(Path(source).stem)) is None:
        return image
    script = f'<script type="application/json">{to_script_json(chart)}</script>'
    return f'<span class="chart">{image}{script}</span>'
