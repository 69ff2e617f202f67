"""Read the values of command-line options: one function per kind, for all commands."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NoReturn

from trainables.errors import BAD_INPUT, UserError

MOST = 10**9
"""The largest count: more trials, reports or runs are a typing error."""
LARGEST_SEED = 2**32 - 1
"""The largest seed of NumPy."""
NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,4})?|\.[0-9]+([eE][+-]?[0-9]{1,4})?")


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is nearest to a misspelt one, or an empty text."""
    return next(iter(get_close_matches(word, known, n=1, cutoff=0.75)), "")


class Parser(argparse.ArgumentParser):
    """Reports an error in one line instead of the long usage, and names the option meant."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Return the values of the options, or print what is wrong and exit."""
        values, unknown = self.parse_known_args(args, namespace)
        if unknown:
            options = [word.partition("=")[0] for word in unknown if word.startswith("--")]
            near = [suggest(option, self._option_string_actions) for option in options]
            meant = f"; did you mean {', '.join(filter(None, near))}?" if any(near) else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        return values

    def error(self, message: str) -> NoReturn:
        """Print the error and exit."""
        self.exit(BAD_INPUT, f"error: {message}\n--help lists the options\n")


def whole(low: int = 1, high: int = MOST) -> Callable[[str], int]:
    """Return a reader of whole numbers in a range, both ends included, for argparse."""

    def read(text: str) -> int:
        # Not `int`, which reads 1_000 and the digits of other scripts.
        number = text.strip()
        if re.fullmatch(r"\+?[0-9]{1,20}", number) and low <= int(number) <= high:
            return int(number)
        raise argparse.ArgumentTypeError(
            f"{_show(text)} is not a whole number from {low} to {high}"
        )

    return read


def to_search_name(text: str) -> str:
    """Return the name of the searches of a space file; any other name stays as it is."""
    return Path(text).stem if text.endswith(".py") else text


count = whole()
seed = whole(0, LARGEST_SEED)


def decimal(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of finite numbers in a range, both ends included, for argparse."""

    def read(text: str) -> float:
        number = text.strip()
        if NUMBER.fullmatch(number) and low <= float(number) <= high:
            return float(number)
        raise argparse.ArgumentTypeError(f"{_show(text)} is not a number from {low:g} to {high:g}")

    return read


def gpu_fraction(text: str) -> float | Literal["auto"]:
    """Read a fraction of a GPU, a whole number of them, or `auto`."""
    if text == "auto":
        return "auto"
    value = decimal(0.0001, 1024)(text)  # Ray divides a GPU into 10,000 parts
    if value > 1 and not value.is_integer():
        raise argparse.ArgumentTypeError(f"{_show(text)} is neither a fraction nor a whole number")
    return value


def duration(text: str) -> float:
    """Read a duration such as 90s, 30m or 2h into seconds."""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([smh]?)", text.strip())
    value = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else math.nan
    if not 0 < value <= MOST:
        raise argparse.ArgumentTypeError(
            f"{_show(text)} is not a duration such as 90s, 30m or 2h, of at most {MOST} s"
        )
    return value


def nonempty(value: str) -> str:
    """Read a text that must not be empty, and can be written down."""
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty: give a value, or leave the option out")
    if "\0" in value or not _is_utf8(value):
        encoding = sys.getfilesystemencoding()
        advice = "" if encoding == "utf-8" else f": Python reads {encoding} here; set PYTHONUTF8=1"
        raise argparse.ArgumentTypeError(f"{_show(value)} contains a NUL, or is not UTF-8{advice}")
    return value


def file_path(value: str) -> Path:
    """Read the path of a file or a folder, which need not exist; `~` is the home folder."""
    path = Path(nonempty(value))
    if not value.startswith("~"):  # Path("./~") is Path("~")
        return path
    try:  # a shell does so, too, but neither in quotes nor for a service or a container
        return path.expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(
            f"{_show(value)}: no home folder is known for it; give the whole path"
        ) from None


def read_path(where: str, value: str) -> Path:
    """Read a path that no parser has read, as of a variable; raises UserError that names where."""
    try:
        return file_path(value)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"{where}: {error}") from None


def _is_utf8(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _show(value: str) -> str:
    shown = repr(value) if value.isprintable() else ascii(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
