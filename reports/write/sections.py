"""What a chapter of a report is: its text, and the figures that the text shows by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from reports.write.tables import Table


@dataclass(frozen=True)
class Section:
    """Markdown, and figures to be saved beside it as `figures/NAME.png` and `.svg`.

    `files` are pictures that are there already, by the name they get beside the figures;
    `tables` are those too long to be read, which are written as CSV and LaTeX alone.
    """

    text: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)


def embed_figure(name: str, shows: str) -> str:
    """A figure in the text; a click leads to its SVG."""
    return f"[![{shows}](figures/{name}.png)](figures/{name}.svg)"


def join_paragraphs(*parts: str | None) -> str:
    """What there is to say, with blank lines between."""
    return "\n\n".join(part for part in parts if part)
