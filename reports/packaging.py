"""Package restored models as an MLflow model: files, code, requirements and registration."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from reports.records import Search, TrialRecord
from reports.trained.models import Predictor

SERVING_CODE = Path(__file__).parent / "serving_model.py"
"""The file that MLflow runs where an exported model is loaded."""
NEEDED = (
    *("torch", "safetensors", "pyarrow", "numpy", "pandas", "scipy", "filelock", "rich"),
    "pillow",
)
"""Packages that the code of every served model imports."""
SOME_NEED = ("torchvision", "transformers", "tokenizers", "peft")
"""Packages that are required where restoring a model and one prediction have imported them."""


@dataclass(frozen=True)
class ExportedModel:
    """Trials with their weights and temperatures, and the temperature of their average."""

    members: tuple[tuple[TrialRecord, float, float], ...]
    temperature: float = 1.0


def name_folder(trial: TrialRecord) -> str:
    """Return the name of the folder of a member's checkpoint."""
    # Not the run's name: it comes from the server and might contain a path.
    return f"{trial.number:03d}" if trial.of is None else f"rerun-{trial.number:03d}"


def copy_files(predictors: Sequence[Predictor], folder: Path) -> list[dict[str, str]]:
    """Copy the files that models need besides their checkpoints, such as a pretrained encoder.

    Files that several models need are copied once. Returns per model the folders below `folder`,
    by the hyperparameters that name them.
    """
    folders: dict[tuple[Path, ...], str] = {}
    for predictor in predictors:
        for name, files in predictor.files.items():
            if files in folders:
                continue
            folders[files] = f"{name}-{len(folders)}"
            (folder / folders[files]).mkdir()
            for file in files:
                shutil.copyfile(file, folder / folders[files] / file.name)
    return [{name: folders[files] for name, files in p.files.items()} for p in predictors]


def write_description(
    folder: Path, space: str, what: ExportedModel, files: Sequence[Mapping[str, str]]
) -> None:
    """Write `members.json`, from which the serving model restores the members.

    `files` are those of `copy_files`. A space file is copied as `space.py`.
    """
    if space.endswith(".py"):
        shutil.copy(space, folder / "space.py")
    description = {
        "space": space,
        "temperature": what.temperature,
        "members": [
            {
                "folder": name_folder(trial),
                "weight": weight,
                "temperature": temperature,
                "params": dict(trial.params),
                "files": dict(places),
            }
            for (trial, weight, temperature), places in zip(what.members, files, strict=True)
        ],
    }
    (folder / "members.json").write_text(json.dumps(description, indent=2), encoding="utf-8")


def log_model(
    uri: str, search: Search, predictor: Predictor, folder: Path, name: str, text: str
) -> str:
    """Log and register the model of a folder; return its address `models:/NAME/VERSION`.

    `text` is its model card. The tracking server of this process is then that of `uri`.
    """
    here = SERVING_CODE.parent
    example = predictor.example
    inputs = Schema([TensorSpec(np.dtype(example.dtype), (-1, *example.shape[1:]))])
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(search.space)
    tags = {"kind": "export", "search": search.tags.get("search", "")}
    parent = {"mlflow.parentRunId": search.run_id}
    with mlflow.start_run(run_name=f"{search.name}-export", tags={**tags, **parent}):
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(SERVING_CODE),
            artifacts={"members": str(folder)},
            code_paths=[
                str(here),
                *(str(here.parent / p) for p in ("searchspaces", "trainables")),
            ],
            signature=ModelSignature(inputs=inputs),
            input_example=example,
            pip_requirements=list_requirements(predictor),
            registered_model_name=name,
            metadata={"space": search.space, "search": search.name},
        )
        mlflow.log_text(text, "MODEL_CARD.md")
    version = str(logged.registered_model_version)
    client = mlflow.MlflowClient()
    client.update_model_version(name, version, description=text[:5000])
    return f"models:/{name}/{version}"


def list_requirements(predictor: Predictor) -> list[str]:
    """Return the packages that a restored model imports, with their installed versions."""
    predictor(predictor.example)
    imported = [package for package in SOME_NEED if package in sys.modules]
    return [f"{p}=={importlib.metadata.version(p)}" for p in (*NEEDED, *imported)]
