"""Fetches the model that `--teacher` names: a run of an earlier search, or a folder.

Either becomes a folder of the cache, `config.json` beside `best/`, as `trainables.train --out`
writes them: what later becomes of the run or the folder does not change a search.
"""

from __future__ import annotations

import json
import os
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
from searchspaces.loading import list_names, load_space
from searchspaces.overrides import parse_overrides
from trainables import cache, checkpoint
from trainables.errors import UserError

PREFIX = "runs:/"


def resolve_name(given: str) -> str:
    """Give the name that a search remembers its teacher by; a folder's whole path."""
    return given.rstrip("/") if given.startswith(PREFIX) else str(Path(given).resolve())


def fetch_teacher(name: str, uri: str, folder: Path) -> Path:
    """Give a folder of the cache in `folder` with the model that a full name means.

    `uri` is the tracking server's, asked for runs alone. Raises UserError where there is no such
    run or folder, or no weights in it.
    """
    if not name.startswith(PREFIX):
        return _copied(Path(name), folder)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    run_id = name.removeprefix(PREFIX)
    key = {"run": run_id}
    if (known := cache.cache_path(folder, "teacher", key)).is_dir():
        return known
    client = open_client(uri)
    try:
        run = client.get_run(run_id)
        config = _config(client, run, name)
        files = {entry.path for entry in client.list_artifacts(run_id, "checkpoint")}
    except MlflowException as error:
        raise UserError(
            f"--teacher {name}: {first_line(error)}\n"
            "give the id of a trial's run, as MLflow shows it, and its --tracking-uri"
        ) from error
    if "checkpoint/manifest.json" not in files:
        raise UserError(
            f"--teacher {name}: {run.info.run_name} has no weights: a search keeps those of its "
            "best trials alone\nname one of these, or train it again with "
            "python -m trainables.train --out FOLDER and give --teacher FOLDER"
        )

    def build(draft: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            found = client.download_artifacts(run_id, "checkpoint", scratch)
            shutil.copytree(found, draft / "best")
        (draft / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")

    return cache.get_or_build(folder, "teacher", key, build)


def upload_teacher(teacher: Path, place: Location) -> None:
    """Copy a teacher out of the driver's cache, for machines that have one of their own.

    Raises UserError where that is impossible.
    """
    try:
        replication.upload(teacher, place, teacher.name)
    except OSError as error:
        raise UserError(
            f"the teacher cannot be copied to {place}: {first_line(error)}\n"
            "mend that, then go on with the same command and --resume"
        ) from error


def _config(client: MlflowClient, run: Run, name: str) -> dict[str, object]:
    parent = run.data.tags.get("mlflow.parentRunId")
    if parent is None or "trial" not in run.data.tags:
        raise UserError(
            f"--teacher {name}: {run.info.run_name} is no trial of a search\n"
            "name the run of one of its trials"
        )
    tags = client.get_run(parent).data.tags
    space = tags.get("space", "")
    # A server may name code, but does not have it run.
    if tags.get("space_file") or space not in list_names():
        raise UserError(
            f"--teacher {name}: its space {space!r} is none of Tunery's\n"
            "train it with python -m trainables.train --space FILE.py --out FOLDER, and give "
            "--teacher FOLDER"
        )
    known = vars(load_space(space).config())
    params = [f"{key}={value}" for key, value in run.data.params.items() if key in known]
    return {"space": space, **parse_overrides(load_space(space), params)}


def _copied(given: Path, folder: Path) -> Path:
    config, manifest = given / "config.json", given / "best" / "manifest.json"
    missing = [str(path) for path in (config, manifest) if not path.is_file()]
    if missing:
        raise UserError(
            f"--teacher {given}: there is no {' and no '.join(missing)}\n"
            "give runs:/RUN_ID, or a folder that python -m trainables.train --out has written"
        )
    key = {
        path.relative_to(given).as_posix(): cache.hash_file(path, folder)
        for path in (config, manifest, *given.glob("best/*.safetensors"))
    }

    def build(draft: Path) -> None:
        shutil.copy(config, draft / "config.json")
        if not checkpoint.copy(given / "best", draft / "best"):
            raise UserError(f"--teacher {given}: the weights in it are not complete")

    return cache.get_or_build(folder, "teacher", key, build)
