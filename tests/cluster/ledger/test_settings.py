"""`search.json`: one record of settings, and what is said of a file of another version."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.ledger.settings import (
    FILE,
    SearchSettings,
    read_settings,
    read_space,
    write_settings,
)
from trainables.errors import UserError
from trainables.integrity import decode_json

SMALL = SearchSettings(space="toy", metric="loss", mode="min", trials=4, reports=3)
FULL = SearchSettings(
    space="toy",
    metric="loss",
    mode="min",
    trials=4,
    reports=9,
    seeds=2,
    seed=7,
    sampler="gp",
    scheduler="asha",
    fixed={"width": 2, "layers": [8, 8]},
    control=1,
    rungs=(1, 3),
    enqueued=2,
    parameters={"rate": {"type": "float", "low": 0.1, "high": 1.0, "log": False, "step": None}},
    teacher="runs:/abc",
    teacher_copy="teacher-1",
    tracking_uri="http://server:5000",
    resources={"cpu": 1.0, "gpu": 0.25},
    provenance={"git_commit": "abc+", "source": "real"},
    kind="confirmation",
    reruns=(({"seed": 1001}, {"of": "0"}), ({"seed": 1002}, {"of": "0"})),
    id="toy-12345678",
    name="toy-confirm",
    started=1.5,
)


@pytest.mark.parametrize("settings", [SMALL, FULL])
def test_settings_are_read_as_they_were_written(settings: SearchSettings, tmp_path: Path) -> None:
    write_settings(tmp_path, settings)
    assert read_settings(tmp_path) == settings
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_settings_of_another_version_are_rejected_by_name(tmp_path: Path) -> None:
    write_settings(tmp_path, SMALL)
    content = decode_json((tmp_path / FILE).read_bytes())
    del content["metric"]
    content["tags"] = {}
    (tmp_path / FILE).write_text(json.dumps(content))
    with pytest.raises(UserError) as error:
        read_settings(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / FILE} was written by another version of Tunery (metric, tags)\n"
        "continue it with that version, or start a new search with --fresh"
    )


def test_a_setting_with_a_default_may_be_missing(tmp_path: Path) -> None:
    write_settings(tmp_path, SMALL)
    content = decode_json((tmp_path / FILE).read_bytes())
    for name in ("control", "rungs", "reruns", "provenance"):
        del content[name]
    (tmp_path / FILE).write_text(json.dumps(content))
    assert read_settings(tmp_path) == SMALL


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b" ", b'{"metric": ', b"null", b"7", b'"toy"', b"[]", b'[["space", "toy"]]'),
        *(b"\x00", b"\xff\xfe", b"[" * 100_000, b"PK\x03\x04", b"SQLite format 3\x00"),
    ],
)
def test_damaged_settings_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*search\.json(.|\n)*--fresh"):
        read_settings(tmp_path)
    assert read_space(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("trials", value) for value in (None, "4", 4.5, True, [], -1, 10**30, 10**400)),
        *(("reports", value) for value in (0, -3)),
        *(("space", value) for value in (None, 3, ["toy"], "")),
        *(("mode", value) for value in ("maximize", None, 1)),
        *(("fixed", value) for value in ([], None, "width=2")),
        *(("rungs", value) for value in ("13", [1, "3"], {"1": 3}, 3)),
        *(("parameters", value) for value in ([], {"rate": 3})),
        *(("resources", value) for value in ({"cpu": "all"}, [1])),
        *(("reruns", value) for value in ([1], [[{}, {}, {}]], [[{}, {"of": 3}]])),
        *(("started", value) for value in ("now", None, 10**400, 1e30, -1e30, "nan")),
        *(("kind", "other"), ("id", 7), ("code", {"a": 1}), ("provenance", {"source": None})),
    ],
)
def test_a_setting_of_another_type_is_named(name: str, value: object, tmp_path: Path) -> None:
    write_settings(tmp_path, SMALL)
    content = decode_json((tmp_path / FILE).read_bytes())
    (tmp_path / FILE).write_text(json.dumps({**content, name: value}))
    with pytest.raises(UserError, match=rf"search\.json is damaged: {name}: .+\n.*--fresh"):
        read_settings(tmp_path)
    read_space(tmp_path)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([f.name for f in dataclasses.fields(SearchSettings)]) | st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    )
)
def test_whatever_the_file_holds_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("search")
    write_settings(folder, SMALL)
    content = decode_json((folder / FILE).read_bytes())
    (folder / FILE).write_text(json.dumps({**content, **changes}))
    try:
        found = read_settings(folder)
    except UserError as error:
        assert str(folder / FILE) in str(error)
    else:
        write_settings(folder, found)
        assert read_settings(folder) == found or "nan" in str(found).lower()


def test_missing_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*search\.json"):
        read_settings(tmp_path)


def test_a_writer_killed_while_it_wrote_leaves_the_old_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings(tmp_path, SMALL)

    def killed(self: Path, target: Path) -> None:
        raise SystemError("kill -9")

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(SystemError):
        write_settings(tmp_path, FULL)
    assert read_settings(tmp_path) == SMALL


def test_a_changed_digit_is_noticed(tmp_path: Path) -> None:
    write_settings(tmp_path, SearchSettings("toy", "loss", "min", trials=4, reports=3))
    path = tmp_path / FILE
    text = path.read_text()
    path.write_text(text.replace('"reports": 3', '"reports": 1'))
    assert path.read_text() != text
    with pytest.raises(UserError, match="does not match its checksum"):
        read_settings(tmp_path)
