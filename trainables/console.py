"""The console of all commands: what it prints may hold any text."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from trainables.terminal import discard_output, escape_control, write_to


class SafeConsole(Console):
    """Shows the control characters of all that it prints, in tables too, and obeys none."""

    def on_broken_pipe(self) -> None:
        """Discard the output where nobody reads it, as after `| head`; rich would exit."""
        discard_output([self.file.fileno()])

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does; raises UserError where the output cannot be written."""
        with write_to(self.file):
            super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as rich renders it, escaped before it is measured."""
        return super().render_str(escape_control(text), **options)
