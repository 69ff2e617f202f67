"""Text of any script is printed on any terminal."""

import ast
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.imports import MODULES
from trainables.errors import BAD_INPUT, INTERRUPTED
from trainables.terminal import announce, escape_control, prepare_output, print_text

CODE = """
import sys
from trainables.terminal import prepare_output
prepare_output()
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


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert escape_control("a\x1b[31m\0\r\x9b\tb\nä") == "a\\x1b[31m\\x00\\r\\x9b\tb\nä"


def test_a_text_is_printed_with_its_control_characters_shown() -> None:
    out = io.StringIO()
    print_text("a\x1b]0;owned\x07", out, end="")
    assert out.getvalue() == "a\\x1b]0;owned\\x07"


PRINTING = """
import sys
from trainables.terminal import print_json, print_text, run_main
def main():
    sys.stdin.readline()  # until the reader has gone
    for _ in range(2):
        print_text("a" * 100_000)
        print_json(["b"] * 10_000)
    print("unbuffered only at the end")
    print_text("done", sys.stderr)
    return 3
run_main(main)
"""


def test_a_command_ends_as_usual_when_nothing_reads_its_output() -> None:
    """As with `| head -1`."""
    with subprocess.Popen(
        [sys.executable, "-c", PRINTING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, errors = process.communicate("\n", timeout=50)
    assert (process.returncode, errors) == (3, "done\n")


FULL = ("the output cannot be written: ", "No space left on device\nfree some space, or")


@pytest.mark.parametrize("line", ['print_text("a")', "print_json([])", "print(1)", "print_rich()"])
def test_a_full_disk_behind_the_output_is_told_without_a_traceback(line: str) -> None:
    script = f"""
from trainables.console import SafeConsole
from trainables.terminal import print_json, print_text, run_main
def print_rich():
    SafeConsole().print("a")
def main():
    {line}
    return 0
run_main(main)
"""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == BAD_INPUT
    assert all(text in done.stderr for text in FULL)
    assert done.stderr.count("\n") == 2


def test_a_full_disk_behind_the_output_of_the_console_script_is_told(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "trainables.command", "searches", "--storage", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == BAD_INPUT
    assert all(text in done.stderr for text in FULL)


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_no_file_gets_the_descriptor_of_a_closed_stream(
    closed: tuple[int, ...], tmp_path: Path
) -> None:
    script = f"""
import sys
from trainables.terminal import announce, prepare_output, print_text
prepare_output()
announce("nobody")
print_text("nobody", sys.stderr)
with open({str(tmp_path / "it")!r}, "w") as file:
    assert file.fileno() > 2
    print_text("nobody reads this")
    file.write("done")
"""
    words = " ".join(f"{number}>&-" for number in closed)
    subprocess.run(["sh", "-c", f'"$0" -c "$1" {words}', sys.executable, script], check=True)
    assert (tmp_path / "it").read_text() == "done"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", None), ("\u00b2", None), ("-5", None), ("", None), ("9" * 30, None), ("80", "80")],
)
def test_an_unusable_width_is_as_if_unset(
    text: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", text)
    prepare_output()
    assert os.environ.get("COLUMNS") == expected
    assert Console(file=io.StringIO()).width > 0


def _may_be_printed(value: ast.expr) -> bool:
    """Return whether a value is a text of Tunery's own, or JSON, which escapes."""
    called = ast.unparse(value.func) if isinstance(value, ast.Call) else ""
    return isinstance(value, ast.Constant) or called in ("json.dumps", "json_text.dumps")


def _find_unescaped(source: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that write a value to a terminal as it is, and what is right instead."""
    nodes = list(ast.walk(ast.parse(source)))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    names = [node for node in nodes if isinstance(node, ast.Name) and node.id == "print"]
    for node in names:
        if all(node is not call.func for call in calls):
            yield node.lineno, "pass print_text"
    for call in calls:
        name = ast.unparse(call.func)
        is_raw = name == "print" and not all(map(_may_be_printed, call.args))
        if name.rpartition(".")[2] == "Console":
            yield call.lineno, "use SafeConsole"
        elif is_raw or name in ("sys.stdout.write", "sys.stderr.write"):
            yield call.lineno, "use print_text"


def test_no_module_prints_what_may_hold_control_characters() -> None:
    found = [
        f"{module}, line {line}: {what}"
        for module, path in MODULES.items()
        for line, what in _find_unescaped(path.read_text(encoding="utf-8"))
        if module not in ("trainables.terminal", "trainables.console")
    ]
    assert not found
    examples = (
        'print("a")\nprint(a)\nprint(f"{a}")\nrich.Console()\nprint(json.dumps(a))\nf(print)'
    )
    assert sorted(line for line, _ in _find_unescaped(examples)) == [2, 3, 4, 6]


def test_an_interrupt_while_a_command_imports_shows_no_traceback() -> None:
    script = """
from trainables.terminal import run_main
def main():
    raise KeyboardInterrupt
run_main(main)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (INTERRUPTED, "")
    assert done.stderr == "\ninterrupted; give the same command again\n"


def test_a_thread_that_a_task_leaves_running_is_named_and_ended() -> None:
    script = """
import threading
from trainables import terminal
terminal.EXIT_LIMIT = 0.1
def main():
    threading.Thread(target=threading.Event().wait, name="prefetcher").start()
    print("done")
    return 3
terminal.run_main(main)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (3, "done\n")
    assert "a thread that a task has started runs on: prefetcher\n" in done.stderr


@pytest.mark.parametrize(
    "module",
    ["trainables.tune", "trainables.train", "reports", "trainables.command"],
)
def test_every_command_says_that_the_current_folder_exists_no_more(
    module: str, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    script = (
        f"mkdir {gone} && cd {gone} && rmdir {gone} && exec {sys.executable} -m {module} --help"
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (BAD_INPUT, "")
    assert done.stderr.startswith(f"the current folder {gone} exists no more\ncd to another")


TASKS = {
    "closed": "os.close(1); os.close(2)",
    "streams": "sys.__stdout__.close(); sys.__stderr__.close()",
    "redirected": "file = os.open(os.devnull, os.O_WRONLY); os.dup2(file, 1); os.dup2(file, 2)",
}


@pytest.mark.parametrize("task", TASKS)
def test_what_a_task_does_to_the_descriptors_is_undone(task: str) -> None:
    script = f"""
import os, sys
from trainables.terminal import share_streams
for _ in range(2):
    with share_streams():
        {TASKS[task]}
    print("printed", flush=True)
    print("told", file=sys.__stderr__, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "printed\n" * 2, "told\n" * 2)
    open_descriptors = f"{script}\nprint(len(os.listdir('/proc/self/fd')))"
    done = subprocess.run([sys.executable, "-c", open_descriptors], capture_output=True, text=True)
    assert int(done.stdout.split()[-1]) <= 6


@pytest.mark.parametrize("watched", [True, False])
def test_what_is_waited_for_is_said_on_a_terminal_alone(
    watched: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched)
    announce("loading PyTorch")
    assert capsys.readouterr().err == ("loading PyTorch ...\n" if watched else "")
