"""Text of any script is printed on any terminal."""

import subprocess
import sys

import pytest

from trainables.terminal import announce

CODE = """
import sys
from trainables.terminal import escape_output
escape_output()
print("Größe 日本 \\ud800 [/x]")
print("😀", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("encoding", "out", "error"),
    [
        ("ascii", r"Gr\xf6\xdfe \u65e5\u672c \ud800 [/x]", r"\U0001f600"),
        ("latin-1", "Gr\xf6\xdfe \\u65e5\\u672c \\ud800 [/x]", r"\U0001f600"),
        ("utf-8", "Größe 日本 \\ud800 [/x]", "😀"),
    ],
)
def test_characters_that_a_terminal_lacks_are_escaped(encoding: str, out: str, error: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={"PYTHONIOENCODING": encoding, "PATH": ""},
        capture_output=True,
        check=True,
    )
    printed = (done.stdout.decode(encoding).strip(), done.stderr.decode(encoding).strip())
    assert printed == (out, error)


@pytest.mark.parametrize("door", ["trainables.tune", "trainables.train", "reports"])
def test_every_door_escapes_its_output(door: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", door, "日本"],
        env={"PYTHONIOENCODING": "ascii", "PATH": "", "LANG": "C"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("watched", [True, False])
def test_what_is_waited_for_is_said_on_a_terminal_alone(
    watched: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched)
    announce("loading PyTorch")
    assert capsys.readouterr().err == ("loading PyTorch ...\n" if watched else "")
