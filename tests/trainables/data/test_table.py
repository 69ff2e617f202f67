from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data.table import TableData, build_ground_truth, load
from trainables.errors import UserError


def write(path: Path, rows: list[str], header: str = "size,color,kind") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def make_rows(count: int) -> list[str]:
    return [f"{n / 10},{'red' if n % 3 else ''},{'ab'[n % 2]}" for n in range(count)]


def read(path: Path, cache: Path, **options: Any) -> TableData:
    return load(folder=path, cache=cache, **options)


def test_a_table_is_split_into_parts_without_a_row_in_two(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [*make_rows(50), *make_rows(50)[:5]])
    data = read(path, tmp_path / "cache")
    assert data.classes == ("a", "b")
    assert data.columns.numbers == ("size",)
    parts = [{row[0] for row in split.rows} for split in (data.train, data.validation, data.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 50
    assert len(data.validation) + len(data.test) == pytest.approx(22, abs=4)
    again = read(path, tmp_path / "other")
    assert np.array_equal(again.test.rows[:, 0], data.test.rows[:, 0])
    assert again.fingerprint == data.fingerprint


def test_common_equal_rows_are_no_copies(tmp_path: Path) -> None:
    rows = [f"{n % 3},{'rg'[n % 2]},{'ab'[n % 5 // 3]}" for n in range(300)]
    write(tmp_path / "train.csv", rows)
    write(tmp_path / "test.csv", rows[:30])
    data = read(tmp_path, tmp_path / "cache")
    assert len(data.train) + len(data.validation) == 300
    assert len(data.validation) == pytest.approx(60, abs=3)


def test_rows_of_other_targets_are_no_copies(tmp_path: Path) -> None:
    rows = [f"{n // 2},{n}" for n in range(80)]
    data = read(write(tmp_path / "t.csv", rows, "x,price"), tmp_path / "cache")
    assert data.columns.is_regression
    assert len(data.train) + len(data.validation) + len(data.test) == 80
    found = (data.train.rows, data.validation.rows, data.test.rows)
    parts = [set(rows[:, 0]) for rows in found]
    assert parts[0] & (parts[1] | parts[2])


def test_a_class_may_be_called_as_a_missing_value(tmp_path: Path) -> None:
    rows = [f"{n},{('none', 'NA', 'dog')[n % 3]}" for n in range(60)]
    data = read(write(tmp_path / "t.csv", rows, "x,kind"), tmp_path / "cache")
    assert data.classes == ("NA", "dog", "none")
    rows = [f"{n},{n / 7}" for n in range(300)] + ["300,NA"]
    assert read(write(tmp_path / "t.csv", rows, "x,y"), tmp_path / "cache").columns.is_regression


def test_a_train_part_without_a_row_of_its_own_is_refused(tmp_path: Path) -> None:
    rows = [f"{n},{n * 1.5}" for n in range(40)]
    write(tmp_path / "train.csv", rows[:3], "x,price")
    write(tmp_path / "test.csv", rows, "x,price")
    with pytest.raises(UserError, match="every row of train is in validation or test"):
        read(tmp_path, tmp_path / "cache")


def test_too_few_rows_to_draw_parts_from_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ["1,0.5", "2,1.5"], "x,price")
    with pytest.raises(UserError, match="2 rows in train are too few to draw"):
        read(path, tmp_path / "cache")


def test_parts_of_the_user_are_kept(tmp_path: Path) -> None:
    for part, first in {"train": 0, "validation": 40, "test": 60}.items():
        write(tmp_path / f"{part}.csv", make_rows(80)[first : first + 20])
    data = read(tmp_path, tmp_path / "cache")
    assert data.validation.rows[:, 0].tolist() == [n / 10 for n in range(40, 60)]
    assert data.test.targets.tolist() == [0, 1] * 10


def test_a_number_is_estimated_and_reports_get_no_targets(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [f"{n},{n * 1.5}" for n in range(60)], "x,price")
    data = read(path, tmp_path / "cache")
    assert data.columns.is_regression
    assert data.train.targets.dtype == np.float64
    assert np.array_equal(data.train.rows[:, 0].astype(float) * 1.5, data.train.targets)
    truth = build_ground_truth(data)
    assert not truth.targets and truth.fingerprint == data.fingerprint


def test_whole_numbers_with_missing_ones_are_classes(tmp_path: Path) -> None:
    rows = [f"{n},{n % 2}{'.0' if n % 3 else ''}" for n in range(200)] + ["1000,"]
    data = read(write(tmp_path / "t.csv", rows, "x,y"), tmp_path / "cache")
    assert data.classes == ("0", "1")
    assert len(data.train) + len(data.validation) + len(data.test) == 200


@pytest.mark.parametrize(
    ("rows", "header", "options", "message"),
    [
        (
            [f"{n},{'' if n % 2 else n % 4}" for n in range(40)],
            "x,kind",
            {},
            "20 of 40 examples cannot be used",
        ),
        ([f"{n},a" for n in range(9)], "x,kind", {}, "1 class"),
        (["1,a", "1,b"] * 20, "x,kind", {}, "no column that predicts 'kind': 'x' is the same"),
        (["1,a", "2,b"] * 20, "x,kind", {"target": "z"}, "no column 'z'"),
        (["1,a", "2,b"] * 20, "x,kind", {"target_kind": "regression"}, "no finite number"),
        (
            [f"{n},3.5" for n in range(60)],
            "x,y",
            {},
            r"t.csv: the target 'y' is 3.5 in all \d+ rows of train",
        ),
        (
            [f"{n},3" for n in range(60)],
            "x,y",
            {"target_kind": "regression"},
            "the target 'y' is 3 in all",
        ),
        (make_rows(60), "size,color,kind", {"kind": "synthetic"}, "no synthetic data"),
    ],
)
def test_what_cannot_be_used_is_told(
    tmp_path: Path, rows: list[str], header: str, options: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "t.csv", rows, header)
    with pytest.raises(UserError, match=message):
        read(path, tmp_path / "cache", **options)


def test_a_number_that_is_the_same_in_all_rows_of_validation_is_told(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", [f"{n},{n / 7}" for n in range(60)], "x,y")
    write(tmp_path / "validation.csv", [f"{n},1.5" for n in range(60, 70)], "x,y")
    with pytest.raises(UserError, match=r"the target 'y' is 1.5 in all 10 rows of validation"):
        read(tmp_path, tmp_path / "cache")


def test_a_text_among_the_numbers_of_another_part_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", make_rows(60))
    write(tmp_path / "test.csv", ["big,red,a", "2,red,b"])
    with pytest.raises(UserError, match="test has 'big' in the column 'size'"):
        read(tmp_path, tmp_path / "cache")
