"""Folders of photographs: any depth, parts, names of any characters, links and groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainables.data.photo_folders import find_root, list_photos, walk_files
from trainables.errors import UserError

NAMES = ("<b>x", "cats|dogs", "日本 #1", "it's", "élan vital")


def _touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a photograph")


def _list(root: Path) -> dict[str, list[tuple[int, str]]]:
    return {
        part: [(photo.label, photo.name) for photo in found]
        for part, found in list_photos(root).parts.items()
    }


def test_photographs_at_any_depth_belong_to_their_class_folder(tmp_path: Path) -> None:
    _touch(tmp_path, *(f"{name}/2024/05/{i}.JPG" for name in NAMES for i in range(2)))
    _touch(tmp_path, "it's/top.heic", "README.txt", "it's/notes.txt")
    assert find_root("pets", tmp_path) == tmp_path
    found = list_photos(tmp_path)
    assert found.classes == tuple(sorted(NAMES))
    names = {photo.name: found.classes[photo.label] for photo in found.parts["train"]}
    assert len(names) == 12
    assert all(name.startswith(f"{of}/") for name, of in names.items())


def test_accents_decomposed_by_macos_are_one_class(tmp_path: Path) -> None:
    _touch(tmp_path, "train/\u00e9t\u00e9/1.jpg", "test/e\u0301te\u0301/2.jpg", "train/b/3.jpg")
    found = list_photos(tmp_path)
    assert found.classes == ("b", "\u00e9t\u00e9")
    assert [photo.label for photo in found.parts["test"]] == [1]


def test_hidden_files_and_loops_are_not_listed(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/a.jpg", "dog/b/c.jpg", "cat/.DS_Store", "cat/._a.jpg", ".git/d.jpg")
    _touch(tmp_path, "__MACOSX/cat/a.jpg", "cat/Thumbs.db", "cat/@eaDir/a.jpg")
    (tmp_path / "dog" / "up").symlink_to(tmp_path)
    (tmp_path / "dog" / "b" / "same").symlink_to(tmp_path / "dog")
    (tmp_path / "loop").symlink_to(tmp_path)
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    _touch(elsewhere, "e.jpg")
    (tmp_path / "dog" / "linked").symlink_to(elsewhere)
    assert _list(tmp_path) == {
        "train": [(0, "cat/a.jpg"), (1, "dog/b/c.jpg"), (1, "dog/linked/e.jpg")]
    }
    assert len(list(walk_files(tmp_path / "cat"))) == 1


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("train", "val", "test"), ("train", "validation", "test")),
        (("Training", "VALID", "Testing"), ("train", "validation", "test")),
        (("TRAIN", "Validation"), ("train", "validation")),
        (("train", "test"), ("train", "test")),
        (("train",), ("train",)),
    ],
)
def test_folders_of_parts_are_the_parts(
    tmp_path: Path, folders: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    _touch(tmp_path, *(f"{part}/{name}/deep/1.jpg" for part in folders for name in ("a", "b")))
    found = _list(tmp_path)
    assert tuple(found) == parts
    assert found[parts[-1]] == [
        (0, f"{folders[-1]}/a/deep/1.jpg"),
        (1, f"{folders[-1]}/b/deep/1.jpg"),
    ]


def test_photographs_outside_of_class_folders_have_no_class(tmp_path: Path) -> None:
    _touch(tmp_path / "one", "a/1.jpg", "b/2.jpg", "overview.png", "README.txt")
    assert _list(tmp_path / "one")["train"][0] == (-1, "overview.png")
    _touch(
        tmp_path / "two", "train/a/1.jpg", "train/b/2.jpg", "test/a/3.jpg", "test/4.jpg", "5.jpg"
    )
    found = _list(tmp_path / "two")
    assert found["train"][0] == (-1, "5.jpg")
    assert found["test"] == [(-1, "test/4.jpg"), (0, "test/a/3.jpg")]


def test_folders_that_cannot_be_understood_are_named(tmp_path: Path) -> None:
    for number, (names, said) in enumerate(
        (
            (("val/a/1.jpg", "test/a/1.jpg"), "has test, val, but no folder train"),
            (("val/a/1.jpg", "valid/a/1.jpg", "train/a/1.jpg"), "two folders of one part"),
            (("train/a/1.jpg", "test/a/1.jpg", "more/1.jpg"), "other folders .*: more\n"),
            (("train/1.jpg", "test/2.jpg"), "has no class folders"),
            (("train/a/1.jpg", "train/b/1.jpg", "test/A/1.jpg"), "test has classes .*: A\n"),
        )
    ):
        root = tmp_path / str(number)
        _touch(root, *names)
        with pytest.raises(UserError, match=said):
            list_photos(root)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    _touch(tmp_path, "train/1.jpg", "bus/2.jpg")
    assert _list(tmp_path) == {"train": [(0, "bus/2.jpg"), (1, "train/1.jpg")]}


def test_the_folder_of_a_data_set_is_found_and_its_name_may_be_a_class(tmp_path: Path) -> None:
    for number, (names, root) in enumerate(
        (
            (("pets/cat/1.jpg", "pets/dog/1.jpg"), "pets"),
            (("pets/Images/cat/1.jpg", "pets/Images/dog/1.jpg"), "pets/Images"),
            (("Images/cat/1.jpg",), "Images"),
            (("Images/1.jpg", "Drawings/2.jpg"), ""),
            (("Images/2024/1.jpg", "Drawings/2.jpg"), ""),
            (("pets/1.jpg", "others/2.jpg"), ""),
        )
    ):
        folder = tmp_path / str(number)
        _touch(folder, *names)
        assert find_root("pets", folder) == folder / root
    _touch(tmp_path / "many", "flowers/rose/1.jpg", "svhn/train.parquet")
    assert find_root("pets", tmp_path / "many") is None
    assert find_root("pets", tmp_path / "none") is None
    _touch(tmp_path / "either", "pets/2024/1.jpg", "others/2.jpg")
    with pytest.raises(UserError, match=r"name of a data set\n.*--data-dir .*either/pets"):
        find_root("pets", tmp_path / "either")


def test_groups_are_read_from_a_file(tmp_path: Path) -> None:
    _touch(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg")
    before = list_photos(tmp_path).state
    table = tmp_path / "groups.csv"
    table.write_text("group,file\n007,a/1.jpg\n007,b\\1.jpg\n", encoding="utf-8-sig")
    found = list_photos(tmp_path)
    assert found.groups == {"a/1.jpg": "007", "b/1.jpg": "007"}
    assert found.state != before
    table.write_text("file,group\na/9.jpg,x\n")
    with pytest.raises(UserError, match=r"files that are not there: a/9.jpg\nwrite .*a/1.jpg"):
        list_photos(tmp_path)
    table.write_text("path,patient\na/1.jpg,x\n")
    with pytest.raises(UserError, match="needs the columns file and group"):
        list_photos(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"file;group\na/1.jpg;x\n",
        b"\xef\xbb\xbffile;group\r\na/1.jpg;x\r\n",  # as Excel writes it in Germany
        b'"file"\t"group"\na/1.jpg\tx\n',
    ],
)
def test_groups_are_read_whatever_separates_the_columns(tmp_path: Path, content: bytes) -> None:
    _touch(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "groups.csv").write_bytes(content)
    assert list_photos(tmp_path).groups == {"a/1.jpg": "x"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"path,patient\na/1.jpg,x\n", "no column 'file'; its columns are path, patient"),
        (b"file,group\na/1.jpg,x,y\n", "3 values instead of 2: 'a/1.jpg,x,y'"),
        (b"file,group\n\xff.jpg,x\n", "groups.csv cannot be read as CSV"),
        (b"", "groups.csv cannot be read as CSV"),
    ],
)
def test_groups_that_cannot_be_read_are_named(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    _touch(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "groups.csv").write_bytes(content)
    with pytest.raises(UserError) as caught:
        list_photos(tmp_path)
    assert problem in str(caught.value)


def test_groups_are_read_from_regular_files_only(tmp_path: Path) -> None:
    _touch(tmp_path, "a/1.jpg", "b/1.jpg")
    os.mkfifo(tmp_path / "groups.csv")
    with pytest.raises(UserError, match=r"groups.csv cannot be read: .*not a regular file"):
        list_photos(tmp_path)


def test_the_state_changes_with_the_part_of_a_photograph(tmp_path: Path) -> None:
    _touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "test/a/3.jpg")
    before = list_photos(tmp_path).state
    (tmp_path / "train" / "b" / "2.jpg").write_bytes(b"longer than a photograph")
    assert list_photos(tmp_path).state != before
