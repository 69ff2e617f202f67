"""A chapter of a report: its text, and the figures that the text refers to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from reports.write.charts import Chart
from reports.write.tables import Table


@dataclass(frozen=True)
class Section:
    """Markdown, and figures that are saved next to it as `figures/NAME.png` and `.svg`.

    `charts` take the place of figures in an HTML page, by the names of these. `files` holds
    existing pictures by their name in `figures`. `tables` holds tables that are too long for the
    text and are written as CSV and LaTeX only. `unreadable` says what of it is on record and
    cannot be read.
    """

    text: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    charts: Mapping[str, Chart] = field(default_factory=dict)
    unreadable: str = ""


def embed_figure(name: str, alt: str) -> str:
    """Return markdown that shows a figure as PNG, linked to its SVG."""
    return f"[![{alt}](figures/{name}.png)](figures/{name}.svg)"


def join_paragraphs(*parts: str | None) -> str:
    """Return the parts that are not empty, separated by blank lines."""
    return "\n\n".join(part for part in parts if part)
