"""Check what a search needs on this machine: a line each, with what to do where it is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from rich.console import Console

from cluster.storage.database_file import is_database_file, parse_database_path
from cluster.storage.redaction import first_line, redact, redact_address
from cluster.storage.storage import open_storage
from trainables.errors import UserError
from trainables.shadowing import find_shadows

GIB = 2**30
LITTLE, VERY_LITTLE = 10 * GIB, GIB
"""Bytes of free disk space below which there is a warning, and a failure."""
RAY_PORT = 6379
COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True)
class Check:
    """What was looked at, its state, what was found, and what to do about it."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""


def check_everything(storage: str | None = None) -> list[Check]:
    """Return all checks; one that raises an error is a failure."""
    checks: list[Check] = []
    for name, check in (
        ("Python", check_python),
        ("packages", check_packages),
        ("torch", check_torch),
        ("GPU", check_gpu),
        ("disk", lambda: check_disk(storage)),
        ("data", check_data),
        ("tracking", lambda: check_tracking(storage)),
        ("Ray", check_ray),
        ("folders", check_folders),
    ):
        checks += _run(name, check)
    return checks


def print_checks(checks: list[Check], console: Console) -> None:
    """Print a line per check, and below it what to do."""
    for check in checks:
        console.print(f"{check.state:5s}", style=COLORS[check.state], end="")
        text = f"{check.name}: {check.found}" + (f"\n     {check.fix}" if check.fix else "")
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _run(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from check()
    except UserError as error:
        found, _, fix = redact(str(error)).partition("\n")
        yield Check(name, "fail", found, fix)
    except Exception as error:  # a broken package may raise anything when it is imported
        found = redact(f"{type(error).__name__}: {first_line(error)}")
        yield Check(
            name, "fail", found, "fix the error above, or install Tunery in a new environment"
        )


def check_python() -> Iterator[Check]:
    """Check the version of Python."""
    found = f"{platform.python_version()} in {sys.prefix}"
    is_new = sys.version_info >= (3, 11)
    fix = "" if is_new else "install Tunery for Python 3.11 or newer"
    yield Check("Python", "ok" if is_new else "fail", found, fix)


def check_packages() -> Iterator[Check]:
    """Check the versions of what Tunery needs, and of the extras that are installed."""
    number = 0
    for text in importlib.metadata.requires("tunery") or ():
        requirement = Requirement(text)
        is_extra = requirement.marker is not None and "extra" in str(requirement.marker)
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            if not is_extra:
                fix = f"pip install '{requirement.name}{requirement.specifier}'"
                yield Check("packages", "fail", f"{requirement.name} is not installed", fix)
            continue
        number += 1
        if not requirement.specifier.contains(version, prereleases=True):
            fix = f"pip install '{requirement.name}{requirement.specifier}'"
            found = f"{requirement.name} {version} is not {requirement.specifier}"
            yield Check("packages", "warn" if is_extra else "fail", found, fix)
    yield Check("packages", "ok", f"{number} of those that Tunery names are installed")


def check_torch() -> Iterator[Check]:
    """Check that torch and torchvision load, and the compiled operators of torchvision."""
    import torch

    from trainables.vision.torchvision_operators import MISSING

    found = f"torch {torch.__version__}, torchvision {importlib.metadata.version('torchvision')}"
    if MISSING:  # nothing that is included uses them
        fix = "for a task that uses nms or roi_align, install both from the same index of packages"
        yield Check("torch", "warn", f"{found}: its compiled operators do not load", fix)
    else:
        yield Check("torch", "ok", found)


def check_gpu() -> Iterator[Check]:
    """Check that torch sees the GPUs of this machine, if there are any."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count:
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(count))
        yield Check("GPU", "ok", f"{count}: {names}")
    elif shutil.which("nvidia-smi"):
        fix = "install a build of torch for CUDA: https://pytorch.org/get-started/locally"
        yield Check("GPU", "warn", "there is a driver, but torch sees no GPU", fix)
    else:
        yield Check("GPU", "ok", f"none: trials run on {os.cpu_count()} CPU cores")


def check_disk(storage: str | None) -> Iterator[Check]:
    """Check the free space of the storage folder."""
    folder = open_storage(storage).folder
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    state: Literal["ok", "warn", "fail"]
    state = "fail" if free < VERY_LITTLE else "warn" if free < LITTLE else "ok"
    fix = "" if state == "ok" else "free some space, or choose another disk with --storage DIR"
    yield Check("disk", state, f"{free / GIB:.1f} GiB free for {folder}", fix)
    if not os.access(existing, os.W_OK):
        fix = "choose another folder with --storage DIR"
        yield Check("disk", "fail", f"{existing} is not writable", fix)


def check_data() -> Iterator[Check]:
    """Check the folder of data sets, which may be a table."""
    from trainables.environment import find_data_folder

    folder = find_data_folder(None)
    if folder is None:
        yield Check("data", "ok", "TUNERY_DATA is not set: data sets are downloaded when needed")
        return
    if folder.is_file():
        yield Check("data", "ok", f"{folder}: a table")
        return
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    fix = "" if names else "put a folder per data set there, or unset TUNERY_DATA"
    found = f"{folder}: {', '.join(names[:12]) or 'it is empty'}"
    yield Check("data", "ok" if names else "warn", found, fix)


def check_tracking(storage: str | None) -> Iterator[Check]:
    """Check that the tracking database or server answers; raises UserError where it does not."""
    uri = open_storage(storage).tracking_uri
    shown = redact_address(uri)
    if is_database_file(uri) and not parse_database_path(uri).exists():
        yield Check("tracking", "ok", f"{shown}: the first search creates it")
        return
    from cluster.tracking.client import open_client

    number = len(open_client(uri, read_only=True).search_experiments())
    yield Check("tracking", "ok", f"{shown} answers: {number} experiments")


def check_ray() -> Iterator[Check]:
    """Check that Ray loads, may listen on this machine, and whether a cluster runs.

    Raises UserError where RAY_ADDRESS names none.
    """
    from cluster.execution.connect import check_address, find_local_cluster, find_version

    yield Check("Ray", "ok", f"Ray {find_version()}")
    with socket.socket() as probe:  # Ray's processes talk to each other through such ports
        probe.bind(("127.0.0.1", 0))
    address = os.environ.get("RAY_ADDRESS", "")
    found = find_local_cluster() if address == "auto" else address
    if found is None:
        fix = "start a cluster: ray start --head, or unset RAY_ADDRESS to search without one"
        yield Check("Ray", "fail", "RAY_ADDRESS=auto: no cluster runs on this machine", fix)
    elif found:
        check_address(found, "RAY_ADDRESS")
        yield Check("Ray", "ok", f"RAY_ADDRESS={address}: searches join it")
    elif _answers("127.0.0.1", RAY_PORT):
        fix = "--address auto joins it; without that, a search starts a Ray of its own"
        yield Check("Ray", "ok", f"a cluster may run here: port {RAY_PORT} answers", fix)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def check_folders() -> Iterator[Check]:
    """Check for folders here that `python -m` would take for packages of Tunery."""
    shadows = find_shadows(Path.cwd())
    for folder in shadows:
        fix = f"rename it, or use the command tunery instead of python -m {folder.stem}"
        found = f"{folder} hides Tunery's package {folder.stem} from python -m"
        yield Check("folders", "warn", found, fix)
    if not shadows:
        yield Check("folders", "ok", "none here hides a package of Tunery")
