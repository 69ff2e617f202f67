"""Values of options: what is read, and that all else is one message with the value."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import ROOT
from trainables import arguments
from trainables.arguments import count, decimal, duration, gpu_fraction, seed, whole

NO_NUMBERS = ["", " ", "many", "1e3", "1_000", "٣", "³", "0x3", "1.0", "nan", "inf", "-1", "--1"]


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        *((count, "3", 3), (count, " 3 ", 3), (count, "+3", 3), (count, "1000000000", 10**9)),
        *((seed, "0", 0), (seed, "4294967295", 2**32 - 1), (whole(0, 5), "5", 5)),
        *((gpu_fraction, "auto", "auto"), (gpu_fraction, "0.25", 0.25), (gpu_fraction, "2", 2.0)),
        *((gpu_fraction, ".5", 0.5), (gpu_fraction, "5e-1", 0.5), (decimal(0, 1), "0", 0.0)),
        *((duration, "90s", 90.0), (duration, "90", 90.0), (duration, "30m", 1800.0)),
        *((duration, "2h", 7200.0), (duration, "0.5h", 1800.0), (duration, " 1s", 1.0)),
        *((arguments.nonempty, "a b", "a b"), (arguments.file_path, "a b/c", Path("a b/c"))),
        *(
            (arguments.file_path, "~/a", Path.home() / "a"),
            (arguments.file_path, "~", Path.home()),
        ),
        *((arguments.file_path, v, Path(v)) for v in ("a/~", "./~")),
    ],
)
def test_a_value_is_read(read: Callable[[str], Any], value: str, expected: object) -> None:
    assert read(value) == expected


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        *((count, v, "is not a whole number from 1 to 1000000000") for v in (*NO_NUMBERS, "0")),
        *((count, v, "is not a whole number from 1 to") for v in ("1000000001", "9" * 400)),
        *((seed, v, "is not a whole number from 0 to 4294967295") for v in NO_NUMBERS),
        *((seed, v, "is not a whole number from 0") for v in (str(2**32), str(2**70))),
        *((gpu_fraction, v, "is not a number from 0.0001 to 1024") for v in ("0", "-1", "nan")),
        *(
            (gpu_fraction, v, "is not a number from")
            for v in ("1e400", "inf", "1_0", "٣", "0.25x")
        ),
        *((gpu_fraction, v, "is not a number from") for v in ("1e-9", "2000", "", "1e99999999")),
        (gpu_fraction, "1.5", "is neither a fraction nor a whole number"),
        *((duration, v, "is not a duration such as 90s") for v in ("soon", "", "0s", "-1s", "1d")),
        *((duration, v, "is not a duration such as 90s") for v in ("1:30", "nan", "inf", "1 h")),
        *((duration, v, "is not a duration") for v in ("1e9999h", "9" * 400, "٣h", "1_0s")),
        *((duration, v, "of at most 1000000000 s") for v in ("1000000001", "999999999999h")),
        *((arguments.nonempty, v, "it is empty") for v in ("", "  ")),
        *((arguments.nonempty, v, "contains a NUL, or is not UTF-8") for v in ("a\0b", "a\udcff")),
        *((arguments.file_path, v, "it is empty|contains a NUL") for v in ("", "a\0b")),
        (
            arguments.file_path,
            "~nobody-of-this-name/x",
            "no home folder is known for it; give the whole path",
        ),
    ],
)
def test_another_value_is_named(read: Callable[[str], Any], value: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=message) as error:
        read(value)
    assert len(str(error.value)) < 200
    assert str(error.value).isprintable()


@given(st.text())
def test_every_text_is_read_or_named(value: str) -> None:
    for read in (count, seed, gpu_fraction, duration, arguments.nonempty, arguments.file_path):
        try:
            read(value)  # type: ignore[operator]
        except argparse.ArgumentTypeError as error:
            assert len(str(error)) < 200


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parser = arguments.Parser(prog="x")
    parser.add_argument("--trials", type=count)
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--trials", "0"])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "error: argument --trials: '0' is not a whole number from 1 to 1000000000\n"
        "--help lists the options\n"
    )


def test_a_text_that_the_locale_cannot_read_is_told_with_the_way_out() -> None:
    """With LC_ALL=C, Python reads the words of the command line as ASCII."""
    script = "import sys; from trainables.arguments import nonempty; nonempty(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", script, "größe"],
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PATH": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "is not UTF-8: Python reads ascii here; set PYTHONUTF8=1" in done.stderr
