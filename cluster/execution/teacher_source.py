"""Fetch the model that `--teacher` names: a run of an earlier search, or a folder.

Either is copied to a folder of the cache, `config.json` beside `best/`, as `trainables.train
--out` writes them: later changes of the run or the folder do not affect a search.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cluster.storage import replication
from cluster.storage.location import Location
from cluster.storage.redaction import first_line
from cluster.tracking.client import open_client
from cluster.tracking.names import from_mlflow_params
from searchspaces.catalog import list_names
from searchspaces.codec import encode_values
from searchspaces.loading import load_space, read_trained
from searchspaces.overrides import parse_params
from trainables import cache, checkpoint
from trainables.arguments import read_path
from trainables.errors import UserError
from trainables.integrity import encode_json
from trainables.invocation import format_command

PREFIX = "runs:/"


def resolve_name(teacher: str) -> str:
    """Return the name under which a search records its teacher; a folder's absolute path."""
    if teacher.startswith(PREFIX):
        return teacher.rstrip("/")
    return str(read_path("--teacher", teacher).resolve())


def fetch_teacher(name: str, uri: str, folder: Path, trust_code: bool = False) -> Path:
    """Return a folder in the cache `folder` with the model of a resolved name.

    `uri` is the tracking server's, used for runs only. Raises UserError where there is no such
    run or folder, or no weights in it, or where a folder names code without `trust_code`.
    """
    if not name.startswith(PREFIX):
        return _copy_folder(Path(name), folder, trust_code)
    run_id = name.removeprefix(PREFIX)
    key = {"run": run_id}
    if (cached := cache.cache_path(folder, "teacher", key)).is_dir():
        return cached
    client = open_client(uri)
    try:
        run = client.get_run(run_id)
        config = _read_config(client, run, name)
        files = {entry.path for entry in client.list_artifacts(run_id, "checkpoint")}
    except MlflowException as error:
        raise UserError(
            f"--teacher {name}: {first_line(error)}\n"
            "give the id of a trial's run in MLflow, and its --tracking-uri"
        ) from error
    if "checkpoint/manifest.json" not in files:
        raise UserError(
            f"--teacher {name}: {run.info.run_name} has no weights: a search keeps only those of "
            "its best trials\nname one of these, or train it again with "
            f"{format_command('train')} --out FOLDER and give --teacher FOLDER"
        )

    def build(draft: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            downloaded = client.download_artifacts(run_id, "checkpoint", scratch)
            shutil.copytree(downloaded, draft / "best")
        (draft / "config.json").write_text(encode_json(config, indent=2), encoding="utf-8")

    return cache.get_or_build(folder, "teacher", key, build)


def upload_teacher(teacher: Path, location: Location) -> None:
    """Upload a teacher from the driver's cache, for nodes with their own cache.

    Raises UserError where that is impossible.
    """
    try:
        replication.upload(teacher, location, teacher.name)
    except OSError as error:
        raise UserError(
            f"cannot copy the teacher to {location}: {first_line(error)}\n"
            "fix that, then continue with the same command and --resume"
        ) from error


def _read_config(client: MlflowClient, run: Run, name: str) -> dict[str, object]:
    parent = run.data.tags.get("mlflow.parentRunId")
    if parent is None or "trial" not in run.data.tags:
        raise UserError(
            f"--teacher {name}: {run.info.run_name} is not a trial of a search\n"
            "name the run of a trial"
        )
    tags = client.get_run(parent).data.tags
    params = from_mlflow_params(run.data.params, run.data.tags)
    space = tags.get("space", "")
    # Code that a server names is never run.
    if tags.get("space_file") or space not in list_names():
        raise UserError(
            f"--teacher {name}: its space {space!r} is not one of Tunery's\n"
            f"train it with {format_command('train')} --space FILE.py --out FOLDER, and give "
            "--teacher FOLDER --trust-code"
        )
    config = encode_values(parse_params(load_space(space), params))
    return {"space": space, "teacher": None, "config": config}


def _copy_folder(teacher: Path, folder: Path, trust_code: bool) -> Path:
    config, manifest = teacher / "config.json", teacher / "best" / "manifest.json"
    missing = [str(path) for path in (config, manifest) if not path.is_file()]
    if missing:
        raise UserError(
            f"--teacher {teacher}: missing {' and '.join(missing)}\n"
            f"give runs:/RUN_ID, or a folder that {format_command('train')} --out has written"
        )
    read_trained(teacher, trust_code)
    key = {
        path.relative_to(teacher).as_posix(): cache.hash_file(path, folder)
        for path in (config, manifest, *teacher.glob("best/*.safetensors"))
    }

    def build(draft: Path) -> None:
        shutil.copy(config, draft / "config.json")
        if not checkpoint.copy(teacher / "best", draft / "best"):
            raise UserError(f"--teacher {teacher}: its weights are incomplete")

    return cache.get_or_build(folder, "teacher", key, build)
