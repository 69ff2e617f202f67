from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from searchspaces.loading import load_space, load_trained, read_trained
from searchspaces.overrides import add_teacher_defaults
from searchspaces.train_one import write_config
from trainables.errors import UserError
from trainables.train import main


def test_a_folder_without_a_model_is_rejected_with_the_command_that_writes_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=r"contains no trained model(.|\n)*--out FOLDER"):
        load_trained(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match="contains no trained model"):
        load_trained(tmp_path)
    (tmp_path / "config.json").write_text('{"space": "digits", "depht": 3}')
    with pytest.raises(UserError, match="did you mean depth"):
        load_trained(tmp_path)
    (tmp_path / "config.json").write_text('{"space": "digits"}')
    with pytest.raises(UserError, match="no complete checkpoint"):
        load_trained(tmp_path)


@pytest.mark.parametrize("name", ["evil.py", "./evil.py", "digits.py", "../x.py", ".py"])
def test_a_folder_never_runs_code_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("evil.py", "digits.py", "../x.py"):
        Path(file).write_text("from pathlib import Path\nPath('ran').touch()\nSPACE = 1\n")
    (tmp_path / "config.json").write_text(json.dumps({"space": name}))
    with pytest.raises(UserError, match="--trust-code") as error:
        load_trained(tmp_path)
    assert f"would execute {Path(name).absolute()}\n" in str(error.value)
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", ["../x", "..", "", "space", "DIGITS", "evil.py\0", "evil.py ", 5])
def test_a_name_is_one_of_the_included_spaces(tmp_path: Path, name: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"space": name}))
    for trust_code in (False, True):
        with pytest.raises(UserError, match="which is not one of Tunery's"):
            load_trained(tmp_path, trust_code)


@pytest.mark.parametrize("field", ["space", "teacher", "config"])
def test_a_field_of_a_config_is_not_mistaken_for_what_a_training_is(
    tmp_path: Path, field: str
) -> None:
    config = dataclasses.make_dataclass("Config", [(field, str, "svhn")])
    space = dataclasses.replace(load_space("digits"), config=config)
    write_config(tmp_path, space, space.config(), tmp_path)
    assert read_trained(tmp_path, False) == ("digits", dict(vars(space.config())))
    write_config(tmp_path, space, space.config(), tmp_path)
    with pytest.raises(UserError, match="another configuration or teacher"):
        write_config(tmp_path, space, space.config(), None)


def test_a_folder_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    flat = {"space": "digits", "depth": 3, "teacher": "none", "--teacher": "/teacher"}
    (tmp_path / "config.json").write_text(json.dumps(flat))
    assert read_trained(tmp_path, False) == ("digits", {"depth": 3, "teacher": "none"})


def test_a_trusted_folder_runs_the_file_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("from pathlib import Path\nPath('ran').touch()\nSPACE = 1\n")
    (tmp_path / "config.json").write_text('{"space": "mine.py"}')
    with pytest.raises(UserError, match="defines no SPACE"):
        load_trained(tmp_path, trust_code=True)
    assert Path("ran").exists()


def test_training_with_a_teacher_that_names_code_ends_before_the_data_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"space": "/tmp/evil.py"}')
    words = ["--space", "cifar10_distill", "--teacher", str(tmp_path)]
    assert main(words) == 2
    assert "would execute /tmp/evil.py\ngive --trust-code" in capsys.readouterr().err


def test_a_teacher_changes_the_default_values() -> None:
    assert add_teacher_defaults(load_space("cifar10_distill"), {"filters": 8}) == {
        "teacher": "custom",
        "filters": 8,
    }
    assert add_teacher_defaults(load_space("svhn_transfer"), {}) == {}
    with pytest.raises(UserError, match="digits uses no teacher"):
        add_teacher_defaults(load_space("digits"), {})
