"""Building once per machine: concurrent callers, killed builds, read-only caches."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from trainables import cache
from trainables.errors import UserError

KEY = {"size": 3, "of": ["a", "b"]}


def _write(folder: Path) -> None:
    (folder / "value").write_text("7")


def test_builds_once_per_key(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(folder: Path) -> None:
        calls.append(folder)
        _write(folder)

    first = cache.get_or_build(tmp_path / "new", "thing", KEY, build)
    assert (
        cache.get_or_build(tmp_path / "new", "thing", dict(reversed(KEY.items())), build) == first
    )
    assert cache.get_or_build(tmp_path / "new", "thing", {**KEY, "size": 4}, build) != first
    assert len(calls) == 2
    assert first.name.startswith("thing-")
    assert (first / "value").read_text() == "7"
    assert json.loads((first / "key.json").read_text()) == KEY


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        _write(folder)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        cache.get_or_build(tmp_path, "thing", KEY, build)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert (cache.get_or_build(tmp_path, "thing", KEY, _write) / "value").is_file()


def test_threads_build_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def build(folder: Path) -> None:
        calls.append(1)
        time.sleep(0.2)
        _write(folder)

    threads = [
        threading.Thread(target=cache.get_or_build, args=(tmp_path, "thing", KEY, build))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def _slow(root: Path) -> None:
    def build(folder: Path) -> None:
        with (root / "calls").open("a") as file:
            file.write("x")
        time.sleep(0.3)
        _write(folder)

    cache.get_or_build(root / "cache", "thing", KEY, build)


def test_processes_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_slow, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "calls").read_text() == "x"


def _killed(root: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("x")
        os.kill(os.getpid(), signal.SIGKILL)

    cache.get_or_build(root, "thing", KEY, build)


def test_files_of_a_killed_build_are_removed(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_killed, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(tmp_path.glob("*.building-*"))
    folder = cache.get_or_build(tmp_path, "thing", KEY, _write)
    assert sorted(path.name for path in folder.iterdir()) == ["key.json", "value"]
    assert not list(tmp_path.glob("*.building-*"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_read_only_disk_names_the_options(tmp_path: Path, number: int) -> None:
    def build(folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(UserError, match="TUNERY_CACHE") as caught:
        cache.get_or_build(tmp_path, "thing", KEY, build)
    assert str(tmp_path) in str(caught.value)
    assert os.strerror(number) in str(caught.value)


def test_a_cache_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(UserError, match="TUNERY_CACHE"):
            cache.get_or_build(place, "thing", KEY, _write)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache(tmp_path: Path) -> None:
    made = cache.get_or_build(tmp_path, "thing", KEY, _write)
    tmp_path.chmod(0o555)
    assert cache.get_or_build(tmp_path, "thing", KEY, _write) == made
    with pytest.raises(UserError, match="TUNERY_CACHE"):
        cache.get_or_build(tmp_path, "other", KEY, _write)
    tmp_path.chmod(0o755)


def test_errors_outside_the_cache_are_unchanged(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "denied", "/data/train.parquet")

    with pytest.raises(PermissionError):
        cache.get_or_build(tmp_path, "thing", KEY, build)


def test_hash_file_follows_changes_and_reads_a_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    first = cache.hash_file(file, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", None)
        assert cache.hash_file(file, tmp_path / "cache") == first
    file.write_text("three")
    assert cache.hash_file(file, tmp_path / "cache") != first
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"not a regular file: .*pipe"):
        cache.hash_file(tmp_path / "pipe", tmp_path / "cache")
