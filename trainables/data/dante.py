"""Dante's Inferno as one text in three consecutive splits: train, validation and test.

It is read from the user's folder, or taken from Project Gutenberg's edition of the Comedy.
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
LENGTH = range(150_000, 220_000)  # accepted number of characters of the Inferno
CUTS = (0.8, 0.9)  # where validation and test begin, as fractions of the text
HEADING = re.compile(r"^[^\n]{0,40}\bcanto +[ivxlc]+\.?\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Text:
    """The three splits; joined in this order they are the full text."""

    train: str
    validation: str
    test: str
    fingerprint: str

    @property
    def full_text(self) -> str:
        """Return the three splits, joined."""
        return self.train + self.validation + self.test


def load(folder: Path | None, cache: Path, kind: str, *, download: bool = True) -> Text:
    """Load the Inferno, or with `kind` placeholder, lines of random words.

    Raises DataMissingError if the text is not in the folder and cannot be downloaded.
    """
    if kind == "placeholder":
        return split_text(_draw_placeholder())
    if kind != "real":
        raise UserError(f"dante has no {kind} data; omit --data {kind}")
    path = _find_file(folder) if folder is not None else _download(cache, download)
    try:
        return split_text(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error
    except UserError as error:
        raise UserError(f"dante: {path}: {error}\n{_describe_options()}") from error


def split_text(text: str) -> Text:
    """Split a text at the starts of cantos (without cantos: of lines) that are closest to CUTS."""
    starts = [match.start() for match in HEADING.finditer(text)]
    if len(starts) < 10:
        starts = [match.end() for match in re.finditer("\n", text)]
    if len(starts) < 10:
        raise UserError(f"a text of {len(text):,} characters without lines cannot be split")
    first, second = (min(starts, key=lambda start: abs(start - cut * len(text))) for cut in CUTS)
    splits = text[:first], text[first:second], text[second:]
    return Text(*splits, fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16])


def _find_file(folder: Path) -> Path:
    for root in (folder / "dante", folder):
        if (root / "inferno.txt").is_file():
            return root / "inferno.txt"
    files = sorted((folder / "dante").glob("*.txt")) or sorted(folder.glob("*.txt"))
    if len(files) == 1:
        return files[0]
    count = f"has {len(files)} text files" if files else "has no text file"
    raise DataMissingError(
        f"dante: {folder} {count}\nlooked for dante/inferno.txt, inferno.txt or a single .txt file"
        f"\n{_describe_options()}"
    )


def _download(cache: Path, download: bool) -> Path:
    key = {"url": URL}
    if not download and not caches.cache_path(cache, "dante", key).is_dir():
        raise DataMissingError(
            f"dante: no --data-dir was set, and {cache} holds no earlier download of {URL}"
            f"\n{_describe_options()}"
        )

    def build(draft: Path) -> None:
        try:
            download_file(URL, draft / "comedy.txt")
        except DataMissingError as error:
            raise DataMissingError(f"dante: {error}\n{_describe_options()}") from error
        inferno = _extract_inferno((draft / "comedy.txt").read_text(encoding="utf-8-sig"))
        (draft / "inferno.txt").write_text(inferno, encoding="utf-8")

    return caches.get_or_build(cache, "dante", key, build) / "inferno.txt"


def _extract_inferno(comedy: str) -> str:
    """Return the Inferno from the Comedy; raises UserError if the text is not as expected."""
    headings = list(re.finditer(r"^(Inferno|Purgatorio)\b[^\n]*\bCanto [IVXL]+\s*$", comedy, re.M))
    # A table of contents may list all headings before the text.
    first_cantos = [h.start() for h in headings if re.search(r"Inferno\b.*\bCanto I\s*$", h[0])]
    begin = first_cantos[-1] if first_cantos else 0
    ends = [h.start() for h in headings if h[1] == "Purgatorio" and h.start() > begin]
    text = comedy[begin : ends[0] if ends else 0].strip()
    cantos = len(HEADING.findall(text))
    if cantos != CANTOS or len(text) not in LENGTH:
        raise UserError(
            f"{URL} is not the expected text: it has {cantos} cantos and {len(text):,} "
            f"characters of the Inferno, expected {CANTOS} cantos\n{_describe_options()}"
        )
    return text


def _describe_options() -> str:
    return (
        "options:\n"
        "  --data-dir FOLDER or TUNERY_DATA=FOLDER: a folder with dante/inferno.txt (UTF-8)\n"
        f"  neither of them, with internet access: download {URL}, once"
    )


def _draw_placeholder() -> str:
    draw = random.Random(0)
    pick: Callable[[str], str] = draw.choice
    words = ["".join(pick("bcdlmnrst") + pick("aeio") for _ in range(2)) for _ in range(30)]
    lines = [" ".join(draw.choice(words) for _ in range(5)) for _ in range(100)]
    return "\n".join(lines) + "\n"
