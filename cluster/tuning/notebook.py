"""Show a running search in a notebook: one output of the cell, which is replaced."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from trainables.console import SafeConsole

WIDTH = 110
"""Characters of a line."""
PAGE = '<pre style="line-height:1.3;overflow-x:auto">{code}</pre>'


class NotebookDisplay:
    """Shows what it is given as HTML; it needs no widgets, so that any front end shows it.

    It is used as `rich.live.Live` is, which prints every state below the others where a notebook
    has no widgets.
    """

    def __init__(self, console: Console) -> None:
        self._is_quiet = console.quiet
        self._handle: Any = None

    def start(self) -> None:
        """Show nothing yet."""

    def update(self, shown: RenderableType, refresh: bool = True) -> None:
        """Show this instead of what was shown before."""
        if self._is_quiet:
            return
        from IPython.display import HTML, display

        page = HTML(to_html(shown))
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)

    def stop(self) -> None:
        """Leave what was shown last."""


def to_html(shown: RenderableType) -> str:
    """Return what rich shows on a terminal as HTML."""
    console = SafeConsole(
        record=True, width=WIDTH, file=io.StringIO(), force_jupyter=False, emoji=False
    )
    console.print(shown)
    return console.export_html(inline_styles=True, code_format=PAGE)
