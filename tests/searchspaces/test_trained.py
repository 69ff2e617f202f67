from __future__ import annotations

from pathlib import Path

import pytest

from searchspaces.loading import load_space, load_trained
from searchspaces.overrides import add_teacher_defaults
from trainables.errors import UserError


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


def test_a_teacher_changes_the_default_values() -> None:
    assert add_teacher_defaults(load_space("cifar10_distill"), {"filters": 8}) == {
        "teacher": "custom",
        "filters": 8,
    }
    assert add_teacher_defaults(load_space("svhn_transfer"), {}) == {}
    with pytest.raises(UserError, match="digits uses no teacher"):
        add_teacher_defaults(load_space("digits"), {})
