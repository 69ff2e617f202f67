"""Dante's Inferno as one text in three parts that follow each other: train, validation, test.

From the user's folder, else from Project Gutenberg's edition of the whole Comedy.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainables import cache as caches
from trainables.data.download import download_file
from trainables.data.source import DataMissingError
from trainables.errors import UserError

URL = "https://www.gutenberg.org/cache/epub/1000/pg1000.txt"
CANTOS = 34
LENGTH = range(150_000, 220_000)  # characters that the Inferno may have
CUTS = (0.8, 0.9)  # where validation and test begin, as shares of the text
HEADING = re.compile(r"^[^\n]{0,40}\bcanto +[ivxlc]+\.?\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Text:
    """The three parts; together they are the whole text, in order."""

    train: str
    validation: str
    test: str
    fingerprint: str

    @property
    def full_text(self) -> str:
        return self.train + self.validation + self.test


def load(folder: Path | None, cache: Path, kind: str, *, download: bool = True) -> Text:
    """Load the Inferno; `kind` made-up gives verses of made-up words.

    Raises DataMissingError where the text is neither in the folder nor to be had.
    """
    if kind == "placeholder":
        return split_text(_babble())
    if kind != "real":
        raise UserError(f"dante has no {kind} data; leave --data {kind} out")
    path = _in_folder(folder) if folder is not None else _fetched(cache, download)
    try:
        return split_text(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error
    except UserError as error:
        raise UserError(f"dante: {path}: {error}\n{_ways_out()}") from error


def split_text(text: str) -> Text:
    """Cut a text where a canto begins, or a line where it has no cantos, nearest to CUTS."""
    starts = [found.start() for found in HEADING.finditer(text)]
    if len(starts) < 10:
        starts = [found.end() for found in re.finditer("\n", text)]
    if len(starts) < 10:
        raise UserError(f"a text of {len(text):,} characters without lines cannot be parted")
    first, second = (min(starts, key=lambda at: abs(at - cut * len(text))) for cut in CUTS)
    parts = text[:first], text[first:second], text[second:]
    return Text(*parts, fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16])


def _in_folder(folder: Path) -> Path:
    for place in (folder / "dante", folder):
        if (place / "inferno.txt").is_file():
            return place / "inferno.txt"
    found = sorted((folder / "dante").glob("*.txt")) or sorted(folder.glob("*.txt"))
    if len(found) == 1:
        return found[0]
    has = f"has {len(found)} text files" if found else "has no text file"
    raise DataMissingError(
        f"dante: {folder} {has}\nlooked for dante/inferno.txt, inferno.txt, and a single .txt file"
        f"\n{_ways_out()}"
    )


def _fetched(cache: Path, download: bool) -> Path:
    key = {"url": URL}
    if not download and not caches.cache_path(cache, "dante", key).is_dir():
        raise DataMissingError(
            f"dante: no --data-dir was given, and {cache} holds no earlier download of {URL}"
            f"\n{_ways_out()}"
        )

    def build(draft: Path) -> None:
        try:
            download_file(URL, draft / "comedy.txt")
        except DataMissingError as error:
            raise DataMissingError(f"dante: {error}\n{_ways_out()}") from error
        inferno = _inferno((draft / "comedy.txt").read_text(encoding="utf-8-sig"))
        (draft / "inferno.txt").write_text(inferno, encoding="utf-8")

    return caches.get_or_build(cache, "dante", key, build) / "inferno.txt"


def _inferno(comedy: str) -> str:
    """Take the first part out of the whole; raises UserError where it is not what it should be."""
    heads = list(re.finditer(r"^(Inferno|Purgatorio)\b[^\n]*\bCanto [IVXL]+\s*$", comedy, re.M))
    # A table of contents may name them all before.
    begins = [h.start() for h in heads if re.search(r"Inferno\b.*\bCanto I\s*$", h[0])]
    begin = begins[-1] if begins else 0
    ends = [h.start() for h in heads if h[1] == "Purgatorio" and h.start() > begin]
    text = comedy[begin : ends[0] if ends else 0].strip()
    cantos = len(HEADING.findall(text))
    if cantos != CANTOS or len(text) not in LENGTH:
        raise UserError(
            f"{URL} is not the text that was expected: {cantos} cantos and {len(text):,} "
            f"characters of the Inferno were found in it, not {CANTOS} cantos\n{_ways_out()}"
        )
    return text


def _ways_out() -> str:
    return (
        "ways out:\n"
        "  --data-dir FOLDER or TUNERY_DATA=FOLDER: one that holds dante/inferno.txt (UTF-8)\n"
        f"  neither of them, and a network: {URL} is downloaded, once"
    )


def _babble() -> str:
    draw = random.Random(0)
    pick: Callable[[str], str] = draw.choice
    words = ["".join(pick("bcdlmnrst") + pick("aeio") for _ in range(2)) for _ in range(30)]
    lines = [" ".join(draw.choice(words) for _ in range(5)) for _ in range(100)]
    return "\n".join(lines) + "\n"
