"""The Inferno: three consecutive splits, from a folder or from the Comedy."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from trainables.data import dante
from trainables.errors import UserError

ONES = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
NUMERALS = [f"{tens}{ones}" for tens in ("", "X") for ones in ONES if tens or ones]


def poem(name: str, cantos: int = 19) -> str:
    draw = random.Random(name)
    parts = []
    for numeral in NUMERALS[:cantos]:
        lines = ["".join(draw.choices("abcdefgilmnoprstuvz ", k=35)) for _ in range(30)]
        parts.append(f"{name} • Canto {numeral}\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def test_the_splits_are_the_full_text_and_begin_with_a_canto() -> None:
    text = poem("Inferno")
    parts = dante.split_text(text)
    assert parts.full_text == text
    assert parts.validation.startswith("Inferno • Canto XVI\n")
    assert parts.test.startswith("Inferno • Canto XVIII\n")


def test_no_text_of_validation_or_test_is_in_training() -> None:
    parts = dante.split_text(poem("Inferno"))
    for held in (parts.validation, parts.test):
        pieces = [held[at : at + 30] for at in range(0, len(held) - 30)]
        assert not [piece for piece in pieces if piece in parts.train]


def test_a_text_without_cantos_is_split_between_lines() -> None:
    parts = dante.split_text("".join(f"riga numero {n}\n" for n in range(100)))
    assert parts.train.endswith("\n") and parts.validation.endswith("\n")
    assert 0.05 < len(parts.test) / len(parts.full_text) < 0.15
    with pytest.raises(UserError, match="5 characters without lines"):
        dante.split_text("breve")


@pytest.mark.parametrize("name", ["dante/inferno.txt", "inferno.txt", "dante/other.txt"])
def test_the_text_is_found_in_a_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\ufeff" + poem("Inferno"), encoding="utf-8")
    assert dante.load(tmp_path, tmp_path, "real").train.startswith("Inferno")


def test_a_folder_without_the_text_names_the_expected_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no text file[\s\S]*dante/inferno\.txt"):
        dante.load(tmp_path, tmp_path, "real")
    (tmp_path / "inferno.txt").write_bytes(b"pi\xf9\n" * 50)
    with pytest.raises(UserError, match="UTF-8"):
        dante.load(tmp_path, tmp_path, "real")
    (tmp_path / "inferno.txt").rename(tmp_path / "notes.txt")
    (tmp_path / "notes.txt").write_text("buy milk")
    with pytest.raises(UserError, match=r"notes\.txt: a text of 8 char[\s\S]*dante/inferno\.txt"):
        dante.load(tmp_path, tmp_path, "real")


def fetched(text: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(
        dante, "download_file", lambda url, to: to.write_text(text, encoding="utf-8")
    )
    monkeypatch.setattr(dante, "CANTOS", 19)
    monkeypatch.setattr(dante, "LENGTH", range(1000, 100_000))
    return dante.load(None, cache, "real").full_text


def test_the_inferno_is_extracted_from_the_comedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = "\n".join(f"Inferno • Canto {numeral}" for numeral in NUMERALS)
    whole = f"About this book\n\n{contents}\n\n{poem('Inferno')}\n\n{poem('Purgatorio')}\n\nEnd"
    assert fetched(whole, tmp_path, monkeypatch) == poem("Inferno")


def test_an_unexpected_text_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"18 cantos[\s\S]*options:"):
        fetched(poem("Inferno", 18) + "\n\n" + poem("Purgatorio"), tmp_path, monkeypatch)


def test_a_dry_run_downloads_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no earlier download"):
        dante.load(None, tmp_path, "real", download=False)
