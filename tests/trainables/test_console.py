"""What a console prints may hold any text, as markup, in a table or on a live screen."""

from __future__ import annotations

import io
import os

import pytest
from rich.live import Live
from rich.table import Table

from trainables.console import SafeConsole

HOSTILE = "a\x1b[2J\x1b]0;owned\x07b\rc\x9bd"
SHOWN = "a\\x1b[2J\\x1b]0;owned\\x07b\\rc\\x9bd"


def _draw(console: SafeConsole, how: str) -> None:
    table = Table(HOSTILE, "next", title=HOSTILE)
    table.add_row(HOSTILE, "beside")
    if how == "live":
        with Live(console=console, auto_refresh=False) as live:
            live.update(table, refresh=True)
    else:
        console.print(table if how == "table" else HOSTILE, markup=how == "markup")


@pytest.mark.parametrize("how", ["text", "markup", "table", "live"])
@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_are_shown_and_not_obeyed(how: str, terminal: bool) -> None:
    out = io.StringIO()
    console = SafeConsole(file=out, width=150, force_terminal=terminal, color_system=None)
    _draw(console, how)
    assert SHOWN in out.getvalue()
    assert not {"owned\x07", "\x1b[2J", "\x9b", "\rc"} & {
        found for found in ("owned\x07", "\x1b[2J", "\x9b", "\rc") if found in out.getvalue()
    }


def test_a_command_goes_on_when_nothing_reads_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        console = SafeConsole(file=pipe)
        for line in ("after `| head`", "and later"):
            console.print(line)
