"""An export: its test result, the code that it executes, its files, and its model."""

import json
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from reports import export
from reports.export import describe_test_result, select_members
from reports.packaging import (
    SERVING_CODE,
    ExportedModel,
    copy_files,
    list_requirements,
    write_description,
)
from reports.read.records import read_search
from reports.records import TrialRecord
from reports.serving_model import ServedModel
from reports.trained import models
from reports.trained.restoring import find_space
from tests.support.make_search import list_openings, make_search, make_trial, rerun
from tests.support.paths import TRIVIAL
from trainables.errors import UserError
from trainables.predictor import Predictor
from trainables.run import Run
from trainables.tasks.lora import Config, train
from trainables.text import encoders
from trainables.text.encoders import Encoder

Trials = list[dict[str, Any]]
Write = Callable[..., str]


def test_the_test_set_is_opened_for_the_winner_alone(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    parent = write_search(some_trials)
    found = read_search(client, "digits")
    text = describe_test_result(client, found, [found.trials[5]])
    assert "was not opened for it, since validation did not choose it" in text
    assert list_openings(client, parent) == []
    text = describe_test_result(client, found, [found.trials[3]])
    assert text.startswith("Test accuracy 94.25%")
    assert [o["trial"] for o in list_openings(client, parent)] == [3]


def test_a_recorded_opening_is_shown_for_any_trial(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    stored = '{"trial": 5, "n": 400, "correct": 300, "time": "2026-01-02"}'
    parent = write_search(some_trials, {"test_opening.1": stored})
    found = read_search(client, "digits")
    assert "accuracy 75.00%" in describe_test_result(client, found, [found.trials[5]])
    text = describe_test_result(client, found, [found.trials[3]])  # another winner than before
    assert "opened before for trial 5 on 2026-01-02" in text
    assert len(list_openings(client, parent)) == 1


def test_a_stopped_winner_is_exported_as_its_best_rerun(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    some_trials[0]["outcome"] = "stopped"
    write_search([*some_trials, rerun(0, 0, 0.97), rerun(1, 0, 0.98)])
    ((member, weight, _),) = select_members(read_search(client, "digits"), None).members
    assert (member.of, member.number, weight) == (0, 1, 1.0)


def test_code_is_executed_only_if_the_user_names_it() -> None:
    other = make_search(make_trial(0), tags={"space_file": "their folder/mine.py"})
    with pytest.raises(UserError, match=r"--space 'their folder/mine\.py'"):
        find_space(other, None)
    assert find_space(other, str(TRIVIAL)) == str(TRIVIAL)
    with pytest.raises(UserError, match=r"--space FILE\.py"):
        find_space(make_search(make_trial(0)), None)  # a space called `made`


def test_a_space_of_searchspaces_needs_no_file(client: MlflowClient, write_search: Write) -> None:
    write_search([])
    assert find_space(read_search(client, "digits"), None) == "digits"


def test_names_from_the_server_are_not_used_as_paths(tmp_path: Path) -> None:
    one = TrialRecord("id", "../../elsewhere", 7, "complete")
    again = TrialRecord("id2", "/absolute", 7, "complete", of=3)
    write_description(
        tmp_path, "digits", ExportedModel(((one, 0.5, 1.0), (again, 0.5, 1.0))), ({}, {})
    )
    stored = json.loads((tmp_path / "members.json").read_text())
    assert [member["folder"] for member in stored["members"]] == ["007", "rerun-007"]


def test_an_encoder_is_copied_once_and_replaces_the_original(tmp_path: Path) -> None:
    tiny, place, members = Encoder("tiny", None), tmp_path / "encoder", tmp_path / "members"
    encoders.load_body(tiny).save_pretrained(place)  # type: ignore[operator]
    encoders.load_tokenizer(tiny).save_pretrained(place)
    (place / "pytorch_model.bin").write_bytes(b"pickled")
    config = Config(encoder=str(place), batch_size=16, epochs=1)
    run = Run(reports=1, metric="validation_accuracy", source="placeholder", cache=tmp_path)
    run.folder = tmp_path
    for metrics in train(config, run):
        run.record(metrics)
    params = {name: str(value) for name, value in asdict(config).items()}
    trials = [TrialRecord("id", "", n, "complete", params=params) for n in (0, 1)]
    for name in ("000", "001"):
        shutil.copytree(tmp_path / "best", members / name)
    one, other = (models.restore_model("rotten_lora", params, tmp_path / "best") for _ in trials)
    what = ExportedModel(((trials[0], 0.5, 1.0), (trials[1], 0.5, 1.0)))
    write_description(members, "rotten_lora", what, copy_files([one, other], members))
    copied = {path.name for path in (members / "encoder-0").iterdir()}
    assert copied == {path.name for path in place.iterdir()} - {"pytorch_model.bin"}
    assert not (members / "encoder-1").exists()
    assert {"transformers", "tokenizers", "peft"} < {
        n.partition("==")[0] for n in list_requirements(one)
    }

    texts = np.array(["what a film", "no"], dtype=object)
    expected = one(texts)
    shutil.rmtree(place)
    served = ServedModel()
    served.load_context(SimpleNamespace(artifacts={"members": str(members)}))
    table = served.predict(None, texts)
    np.testing.assert_allclose(table[["p_neg", "p_pos"]], expected, atol=1e-6)


def test_models_with_text_outputs_cannot_be_averaged(
    client: MlflowClient, write_search: Write, some_trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_search(some_trials)
    found = read_search(client, "digits")
    monkeypatch.setattr(export, "download_weights", lambda *arguments: True)
    predictor = Predictor(lambda questions: questions, np.array(["1 + 1"], dtype=object))
    monkeypatch.setattr(models, "restore_model", lambda *arguments: predictor)
    with pytest.raises(UserError, match=r"answers, not probabilities.*\nExport one.*--members 3"):
        export.register_export(
            client, found, select_members(found, [3, 5]), "mathematics_rnn", "name"
        )


def test_a_model_without_names_of_classes_is_served_with_their_numbers() -> None:
    served, chances = ServedModel(), np.array([[0.25, 0.75], [1.0, 0.0]])
    member = {"weight": 1.0, "temperature": 1.0}
    served.description = {"temperature": 1.0}
    served.members = [(member, Predictor(lambda _: chances, np.zeros((1, 4))))]
    table = served.predict(None, np.zeros((2, 4)))
    assert list(table.columns) == ["label", "confidence", "p_0", "p_1"]
    assert table["label"].tolist() == ["1", "0"]


def test_an_export_logs_the_code_of_the_serving_model() -> None:
    assert Path(sys.modules[ServedModel.__module__].__file__ or "") == SERVING_CODE


def test_inputs_and_request_of_a_served_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    answer = SimpleNamespace(text="")
    posted = SimpleNamespace(post=lambda url, json: asked.append(json) or answer)
    monkeypatch.setitem(sys.modules, "requests", posted)
    examples = [
        np.zeros((2, 1, 8, 8), np.uint8),
        np.array([[0.5, -1.5]], np.float32),
        np.array(["what a film"], dtype=object),
    ]
    columns = {"a": "number", "farbe": "category"}
    found = [Predictor(np.asarray, example) for example in examples]
    row = np.array([[0.5, "rot"]], dtype=object)
    found.append(Predictor(np.asarray, row, columns=columns))
    assert [export.describe_inputs(model) for model in found] == [
        "uint8 of shape (n, 1, 8, 8), from 0 to 255",
        "float32 of shape (n, 2); the example has values from -1.5 to 0.5",
        "texts of shape (n,)",
        "texts of shape (n, 2), the columns a (number), farbe (category)",
    ]
    for model in found:
        program = shlex.split(export.write_request(model))
        assert program[:2] == ["python", "-c"]
        exec(program[2])
    shapes = [np.asarray(json["inputs"]).shape for json in asked]
    assert shapes == [(1, 1, 8, 8), (1, 2), (1,), (1, 2)]
    assert asked[-1]["inputs"] == [["0", "a text"]]
