"""What a search was run with, so that it can be reproduced: versions, commit, machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cluster.storage.redaction import redact_address
from searchspaces.space import SearchSpace
from trainables.invocation import is_script
from trainables.predictor import GroundTruth

PACKAGES = ("tunery", "torch", "torchvision", "ray", "optuna", "mlflow")


def collect_provenance(space: SearchSpace[Any], truth: GroundTruth) -> dict[str, str]:
    """Return text about a search's code, data and machine, which MLflow shows as tags."""
    known = {
        "question": space.question,
        "space_file": space.file,
        "resources": json.dumps(dict(space.resources)),
        "compare": json.dumps(space.compare),
        "published": json.dumps([asdict(number) for number in space.published]),
        "command": describe_command(),
        "git_commit": find_commit(Path(space.source_file)),
        "versions": json.dumps(list_versions()),
        "hardware": describe_hardware(),
        "source": truth.source,
        "own_data": "yes" if truth.is_own else "",
        "data_fingerprint": truth.fingerprint,
        "classes": json.dumps(truth.classes),
    }
    return {key: value for key, value in known.items() if value}


def describe_command() -> str:
    """Return the command line, with credentials redacted."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    start = ["python", "-m", spec.name] if spec else ["python", *sys.argv[:1]]
    start = ["tunery"] if is_script() else start
    return shlex.join([*start, *map(redact_address, sys.argv[1:])])


def find_commit(file: Path) -> str:
    """Return the git commit of a file's repository, with a + where files were changed.

    That is the repository of the space: the user's own, or that of Tunery. The text is empty for
    a file that no repository has.
    """
    here = file.absolute().parent
    try:
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        tracked = _git(here, "ls-files", "--error-unmatch", str(file.absolute()))
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{head}{'+' if changed else ''}" if tracked else ""


def list_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def describe_hardware() -> str:
    """Return a description of the driver's hardware."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ", ".join([f"{platform.system()} {platform.machine()}, {cores} CPU cores", *gpus])


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()
