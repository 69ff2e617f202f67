"""A report as one self-contained HTML file: its pictures inside, readable offline and in print."""

import base64
import re
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

from reports.write.style import DPI

CSS = """
body { max-width: 60rem; margin: 2rem auto; padding: 0 1.2rem; color: #1a1a1a;
  background: #fff; font: 16px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { font-size: 1.25rem; margin-top: 2.4rem; padding-bottom: .25rem;
  border-bottom: 1px solid #ccc; }
h3 { font-size: 1.05rem; margin-top: 1.6rem; }
p, li { overflow-wrap: break-word; }
nav { font-size: .9rem; color: #555; } nav a { margin-right: .9em; white-space: nowrap; }
a { color: #0b5394; text-decoration: none; } a:hover { text-decoration: underline; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums;
  border-top: 2px solid #333; border-bottom: 2px solid #333; }
th, td { padding: .28rem .7rem; text-align: left; vertical-align: top; }
th { border-bottom: 1px solid #333; }
tbody tr:nth-child(even) { background: #f6f6f6; }
img { display: block; max-width: 100%; height: auto; margin: 1rem auto; }
code { font: .88em ui-monospace, Menlo, Consolas, monospace; background: #f2f2f2;
  padding: .1em .25em; border-radius: 3px; }
pre { background: #f6f6f6; padding: .8rem 1rem; overflow-x: auto; white-space: pre-wrap; }
pre code { background: none; padding: 0; }
blockquote { margin: 1rem 0; padding: .1rem 1rem; border-left: 5px solid #c1440e;
  background: #fdf1ec; }
@media print {
  body { max-width: none; margin: 0; font-size: 10.5pt; }
  nav { display: none; } h2, h3 { break-after: avoid; } img, tr, pre { break-inside: avoid; }
  .wide { overflow: visible; } table { font-size: 7.5pt; } th, td { padding: .15rem .35rem; }
}
"""

SCREEN = 105  # pixels of a page per inch of a figure
PICTURE = re.compile(r'(?:<a href="[^"]*">\s*)?<img src="([^"]+)" alt="([^"]*)"[^>]*>(?:\s*</a>)?')
OURS = re.compile(r"figures/[\w-]+\.(png|gif)")


def html(text: str, folder: Path) -> str:
    """The markdown of a report as a whole page; `folder` is where its pictures lie."""
    title = next((line[2:] for line in text.splitlines() if line.startswith("# ")), "Report")
    # Raw HTML in a report can only come from a name or an error message: shown, never run.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = parser.render(_alerts(text))
    body = PICTURE.sub(lambda found: _inlined(found[1], found[2], folder), body)
    body = body.replace("<table>", '<div class="wide"><table>')
    body = body.replace("</table>", "</table></div>")
    body, contents = _with_contents(body)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f"{body.replace('</h1>', f'</h1>{contents}', 1)}</body>\n</html>\n"
    )


def _alerts(text: str) -> str:
    # GitHub's mark of a warning is not markdown; the quotation around it is warning enough.
    return text.replace("> [!WARNING]\n", "")


def _inlined(source: str, shows: str, folder: Path) -> str:
    # A text that a task wrote may name any file or address: only a report's own are shown.
    if not OURS.fullmatch(source) or not (folder / source).is_file():
        return f"<em>{shows}</em>"
    content = (folder / source).read_bytes()
    data = base64.b64encode(content).decode("ascii")
    if source.endswith(".gif"):
        return f'<img src="data:image/gif;base64,{data}" alt="{shows}">'
    # A PNG says its width in its bytes 16 to 20; in inches all figures have letters of one size.
    width = int.from_bytes(content[16:20], "big") * SCREEN // DPI
    return f'<img src="data:image/png;base64,{data}" alt="{shows}" width="{width}">'


def _with_contents(body: str) -> tuple[str, str]:
    links: list[str] = []

    def anchored(found: re.Match[str]) -> str:
        links.append(f'<a href="#s{len(links) + 1}">{found[1]}</a>')
        return f'<h2 id="s{len(links)}">{found[1]}</h2>'

    body = re.sub(r"<h2>(.*?)</h2>", anchored, body)
    return body, f"\n<nav>{' '.join(links)}</nav>" if links else ""
