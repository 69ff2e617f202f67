"""Messages name commands as the user starts them."""

from __future__ import annotations

import pytest

from trainables.invocation import format_command


@pytest.mark.parametrize(
    ("start", "commands"),
    [
        ("/home/me/bin/tunery", ["tunery tune", "tunery train", "tunery report", "tunery export"]),
        ("C:/bin/tunery.exe", ["tunery tune", "tunery train", "tunery report", "tunery export"]),
        (
            "/checkout/trainables/command/__main__.py",
            ["tunery tune", "tunery train", "tunery report", "tunery export"],
        ),
        (
            "/checkout/trainables/tune.py",
            [
                "python -m trainables.tune",
                "python -m trainables.train",
                "python -m reports",
                "python -m reports export",
            ],
        ),
    ],
)
def test_a_command_has_the_form_of_the_one_that_runs(
    start: str, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [start, "tune", "digits"])
    assert [format_command(name) for name in ("tune", "train", "report", "export")] == commands
