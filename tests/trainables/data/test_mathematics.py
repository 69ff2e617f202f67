"""Mathematics: the official generator, the published files, and disjoint splits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trainables.data import characters
from trainables.data.mathematics import Mathematics, load
from trainables.data.questions import PROBLEMS, generate_questions
from trainables.errors import UserError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mathematics:
    """Real questions: one block of the official generator for every problem."""
    return load(None, tmp_path_factory.mktemp("cache"), "real", 3600)


def test_no_question_is_in_two_splits_or_twice_in_one(made: Mathematics) -> None:
    parts = (made.train, made.validation, made.test)
    assert [len(part) for part in parts] == [2880, 360, 360]
    asked = [question for part in parts for question in part.questions]
    assert len(set(asked)) == 3600
    for part in parts:
        assert set(part.problems) == set(PROBLEMS)
        assert all(text == text.lower() for text in part.questions)


def test_the_answers_are_right(made: Mathematics) -> None:
    for question, answer, problem in zip(
        made.test.questions, made.test.answers, made.test.problems, strict=True
    ):
        words = question.rstrip("?.").split()
        if problem == "place_value" and words[3] == "tens":
            assert words[-1][-2] == answer
        if problem == "is_factor" and "divide" in question:
            assert str(int(words[3]) % int(words[1]) == 0).lower() == answer


def test_padding_is_less_than_a_tenth(made: Mathematics) -> None:
    import torch

    lengths = [
        torch.tensor([len(text) + 1 for text in texts])
        for texts in (made.train.questions, made.train.answers)
    ]
    groups = characters.group_by_length(*lengths, 8, torch.Generator().manual_seed(0))
    used = sum(int(of.sum()) for of in lengths)
    padded = sum(len(rows) * sum(int(of[rows].max()) for of in lengths) for rows in groups)
    assert 1 - used / padded < 0.1


def test_results_depend_on_the_seed_not_on_the_number_of_processes() -> None:
    counts = {"gcd": 300, "is_prime": 300}
    one, two = generate_questions(counts, 0, 1), generate_questions(counts, 0, 2)
    assert one == two
    assert generate_questions({"gcd": 10}, 1, 1)["gcd"] != one["gcd"][:10]


def test_a_missing_package_names_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mathematics_dataset", None)
    with pytest.raises(UserError, match=r"pip install '\.\[text\]'"):
        load(None, tmp_path, "real", 90)


def test_a_dry_run_generates_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not hold these 90 questions"):
        load(None, tmp_path, "real", 90, download=False)
    assert not list(tmp_path.iterdir())


def files(folder: Path, count: int = 30) -> Path:
    folder.mkdir(parents=True)
    for problem in PROBLEMS:
        lines = [line for n in range(count) for line in (f"What is {problem} {n}?", f"{n} A")]
        (folder / f"numbers__{problem}.txt").write_text("\n".join(lines * 2) + "\n")
    return folder


@pytest.mark.parametrize("place", ["mathematics/train-easy", "mathematics", "train-easy"])
def test_published_files_are_used_if_the_user_has_them(tmp_path: Path, place: str) -> None:
    files(tmp_path / "data" / place)
    found = load(tmp_path / "data", tmp_path / "cache", "real", 180)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [144, 18, 18]
    for question, answer in zip(found.train.questions, found.train.answers, strict=True):
        assert answer == f"{question.rstrip('?').split()[-1]} a"
    assert load(tmp_path / "data", tmp_path / "cache", "real", 180, seed=1).fingerprint != (
        found.fingerprint
    )


def test_a_subset_of_the_problems_is_asked(tmp_path: Path) -> None:
    files(tmp_path / "mathematics")
    found = load(tmp_path, tmp_path / "cache", "real", 60, problems=("gcd", "lcm"))
    assert set(found.train.problems) == {"gcd", "lcm"}
    assert len(found.train) == 48
    with pytest.raises(UserError, match="no problem sums\nit has base_conversion"):
        load(None, tmp_path / "cache", "real", 60, problems=("gcd", "sums"))


def test_incomplete_files_are_rejected(tmp_path: Path) -> None:
    folder = files(tmp_path / "mathematics")
    with pytest.raises(UserError, match=r"30 different questions, fewer[^$]*count=270"):
        load(tmp_path, tmp_path / "cache", "real", 900)
    with (folder / "numbers__lcm.txt").open("a") as file:
        file.write("What now?\n")
    with pytest.raises(UserError, match="has no answer"):
        load(tmp_path, tmp_path / "cache", "real", 90)
    (folder / "numbers__lcm.txt").unlink()
    with pytest.raises(UserError, match=r"lacks numbers__lcm\.txt"):
        load(tmp_path, tmp_path / "cache", "real", 90)
