"""What a task prints is kept in a file, whatever prints it; a debugger gets the terminal back."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from cluster.execution import task_output
from cluster.execution.task_output import TaskOutput, keep_console, read_end, tidy_text

PROGRAM = """
import sys
import warnings
from pathlib import Path
from cluster.execution.task_output import TaskOutput
output = TaskOutput(Path(sys.argv[1]), interactive=True)
with output.capture():
    print("kept")
    warnings.warn("careful")
    secret = 41
    breakpoint()
    secret += 1
    print("shown")
with output.capture():
    print("shown again")
"""


def test_everything_that_prints_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = TaskOutput(tmp_path / "attempt-1" / "output.txt")
    print("before")
    with output.capture():
        print("printed")
        logger = logging.getLogger("a task")
        logger.addHandler(logging.StreamHandler())
        os.write(1, b"from a descriptor\n")
        ctypes.CDLL(None).puts(b"from C")
        subprocess.run(["echo", "from a process"], check=True)
    print("between")
    with output.capture():
        logger.error("logged")
    logger.error("logged later")
    output.close()
    kept = output.path.read_text()
    words = ["printed", "from a descriptor", "from C", "from a process", "logged\n"]
    assert [word for word in words if word not in kept] == []
    out, err = capfd.readouterr()
    assert (out, err) == ("before\nbetween\n", "logged later\n")


def test_an_output_without_a_word_leaves_no_file(tmp_path: Path) -> None:
    output = TaskOutput(tmp_path / "output.txt")
    with output.capture():
        pass
    output.close()
    assert not output.path.exists()
    assert read_end(output.path) == ""


def test_a_progress_bar_leaves_its_last_state(tmp_path: Path) -> None:
    output = TaskOutput(tmp_path / "output.txt")
    with output.capture():
        bar = sys.stderr  # as tqdm keeps it
        for step in range(3):
            bar.write(f"\r\x1b[32mepoch 1: {step}/2\x1b[0m")
        bar.write("\n")
    with output.capture():
        bar.write("\repoch 2: 0/2")
        bar.write("\repoch 2: 1/2\n")
    assert output.path.read_text() == "epoch 1: 2/2\nepoch 2: 1/2\n"


def test_a_progress_bar_that_is_seen_before_its_line_ends_leaves_its_last_state(
    tmp_path: Path,
) -> None:
    output = TaskOutput(tmp_path / "output.txt")
    for text in (b"\nepoch 1: 0/2", b"\repoch 1: 1/2", b"\repoch 1: 2/2", b"\nended\n"):
        with output.capture():
            os.write(2, text)
    assert output.path.read_text() == "\nepoch 1: 2/2\nended\n"


def test_a_debugger_that_jupyter_has_only_imported_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def import_debugger(debugger: Any) -> None:
        module = SimpleNamespace(get_global_debugger=lambda: debugger)
        monkeypatch.setitem(sys.modules, "pydevd", cast("Any", module))

    monkeypatch.setattr(sys, "gettrace", lambda: None)
    for attached in (False, True):
        import_debugger(SimpleNamespace(is_attached=lambda attached=attached: attached))
        assert task_output.is_debugging() == attached
    import_debugger(None)
    assert not task_output.is_debugging()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"one\r\ntwo\n", b"one\ntwo\n"),
        (b"10%\r20%\r", b"20%\r"),
        (b"a\n10%\r100%\nb", b"a\n100%\nb"),
        (b"\x1b]0;title\x07\x1b[A\x1b[2Kdone", b"done"),
        (b"caf\xc3\xa9 \xff", b"caf\xc3\xa9 \xff"),
        (b"at https://me:secret@x.org\xff\n", b"at https://***@x.org\xff\n"),
    ],
)
def test_what_a_terminal_would_show_is_kept(text: bytes, expected: bytes) -> None:
    assert tidy_text(text) == expected
    assert tidy_text(expected) == expected


def test_the_middle_of_a_long_output_is_cut_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_output, "FIRST", 100)
    monkeypatch.setattr(task_output, "LAST", 200)
    output = TaskOutput(tmp_path / "output.txt")
    for report in range(50):
        with output.capture():
            print("".join(f"{report:04d}:{line:04d}\n" for line in range(10)), end="")
    text = output.path.read_text()
    assert len(text) < 2 * 300 + 100
    assert text.startswith("0000:0000\n")
    assert text.endswith("0049:0009\n")
    (cut,) = [line for line in text.splitlines() if "cut out" in line]
    missing = int(cut.split()[1].replace(",", ""))
    assert missing + len(text) - len(f"\n{cut}\n") == 50 * 10 * 10


def test_an_output_is_shortened_while_a_report_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_output, "FIRST", 100)
    monkeypatch.setattr(task_output, "LAST", 200)
    monkeypatch.setattr(task_output, "PERIOD", 0.01)
    output = TaskOutput(tmp_path / "output.txt")
    with output.capture():
        os.write(1, b"line\n" * 1000)
        while output.path.stat().st_size > 1000:
            pass
    assert "4,700 bytes are cut out here" in output.path.read_text()


def test_the_end_of_an_output_starts_with_a_line_and_hides_passwords(tmp_path: Path) -> None:
    path = tmp_path / "output.txt"
    path.write_bytes(b"".join(b"%d https://me:secret@x.org\n" % n for n in range(500)))
    end = read_end(path)
    assert end.endswith("499 https://***@x.org")
    assert len(end) <= task_output.SHOWN
    assert end.splitlines()[0].split()[0].isdecimal()


def test_a_console_writes_to_the_terminal_while_a_task_is_captured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console()
    stream = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8")
    for own in (sys.stdout, stream):
        monkeypatch.setattr(sys, "stdout", own)
        with keep_console(console), TaskOutput(tmp_path / "output.txt").capture():
            console.print("on the terminal")
            print("in the file")
        sys.stdout.flush()
        assert capfd.readouterr().out == "on the terminal\n"


def test_a_descriptor_that_is_redirected_meanwhile_stays_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    saved = os.dup(1)
    with TaskOutput(tmp_path / "output.txt").capture():
        nowhere = os.open(os.devnull, os.O_WRONLY)  # as after SIGHUP
        os.dup2(nowhere, 1)
        os.close(nowhere)
    os.write(1, b"lost")
    os.dup2(saved, 1)
    os.close(saved)
    assert capfd.readouterr().out == ""


def test_a_breakpoint_gets_the_terminal(tmp_path: Path) -> None:
    driver, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "output.txt")],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "dumb"},
    ) as process:
        os.close(terminal)
        os.write(driver, b"p secret + 1\nn\np secret + 100\nc\n")
        shown = b""
        while True:
            try:
                part = os.read(driver, 4096)
            except OSError:  # the end of a terminal on Linux
                break
            if not part:
                break
            shown += part
    text = shown.decode()
    assert process.returncode == 0, text
    assert "(Pdb)" in text
    assert "42" in text
    assert "142" in text
    assert "shown again" in text
    kept = (tmp_path / "output.txt").read_text().splitlines()
    assert kept[0] == "kept"
    assert kept[1].endswith("UserWarning: careful")
    assert not any("shown" in line for line in kept)


def test_a_line_of_megabytes_is_read_once() -> None:
    long = b"z" * 2_000_000
    assert tidy_text(long + b"\rend\n" + long) == b"end\n" + long
