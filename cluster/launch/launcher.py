"""A search on another machine's Ray: `--cluster FILE` starts the cluster, submits and follows.

The search is a job of the cluster: it goes on when the following ends, and the same command
attaches to it again. The half that runs on the head is `cluster.launch.head_job`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cluster.storage.redaction import has_credentials, redact
from trainables.errors import UserError

CHECKOUT = "tunery"  # in the home folder of every machine; the shipped files mount it there
ENDED = re.compile(r"the search has ended with exit code (\d+)")
BEGUN = (
    "submitted as",
    "attached to",
    "not all of",
)  # the first words of `cluster.launch.head_job`
LOST, INTERRUPTED = 1, 130


def run_on_cluster(file: Path, words: Sequence[str], answer: Callable[[str], str] | None) -> int:
    """Start the cluster, run the search of these words there, offer to take the cluster down.

    `answer` asks the user; None where nobody is there to be asked, and the cluster is left up.
    Gives the search's exit code; raises UserError for what can be seen from here.
    """
    config = read_cluster_file(file)
    there = translate_arguments(words, config, file)
    ray(["get-auth-token", "--generate"], quiet=True)
    # Without `--no-restart` the searches that run there would be killed.
    if ray(["up", "--yes", "--no-restart", "--log-style", "pretty", str(file)]):
        raise UserError(f"the cluster of {file} did not start: see above")
    code = follow(file, there)
    down = ["down", "--yes", str(file)]
    if answer and answer(f"take the cluster of {file} down? [y/N] ").strip().lower() in (
        "y",
        "yes",
    ):
        ray(down)
    else:
        print(f"the cluster is up; take it down with\n  {shlex.join(['ray', *down])}")
    return code


def read_cluster_file(file: Path) -> dict[str, Any]:
    """Read a cluster file; raises UserError for one that Ray could not start."""
    import yaml

    if not file.is_file():
        raise UserError(f"--cluster {file}: there is no such file")
    if find_spec("ray.autoscaler") is None or find_spec("aiohttp_cors") is None:
        raise UserError("--cluster needs Ray's launcher: pip install '.[cluster]'")
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"--cluster {file} cannot be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("provider"), dict):
        raise UserError(f"--cluster {file} is no cluster file of `ray up`: it has no provider")
    for there, here in (config.get("file_mounts") or {}).items():
        if not Path(here).expanduser().exists() and here != "~/.ray":
            raise UserError(
                f"{file} mounts {here}, which is not here, as {there}\n"
                "run the command in the folder of the checkout"
            )
    return config


def translate_arguments(words: Sequence[str], config: dict[str, Any], file: Path) -> list[str]:
    """Give the search's words as the head must hear them: without --cluster, files by their place.

    Raises UserError for a space file that no mount takes along, and for a login in the words.
    """
    check_no_login(words, f"put it into ~/.mlflow/credentials, and mount ~/.mlflow in {file}")
    kept = list(words)
    for at in reversed(range(len(kept))):
        if kept[at] == "--cluster":
            del kept[at : at + 2]
        elif kept[at].startswith("--cluster="):
            del kept[at]
    for at, word in enumerate(kept):
        named = at and kept[at - 1] == "--space"
        space = word if named else word.removeprefix("--space=")
        if space.endswith(".py") and (named or space != word):
            kept[at] = word.replace(space, find_on_cluster(Path(space), config, file))
    return [*kept, "--address", "auto"]


def check_no_login(words: Sequence[str], way_out: str) -> None:
    """Refuse words with a login in them: Ray shows a job's words to all who see the cluster."""
    if secret := next(filter(has_credentials, words), None):
        raise UserError(
            f"{redact(secret)} has a login in it, which everybody on the cluster could "
            f"read\n{way_out}"
        )


def find_on_cluster(space: Path, config: dict[str, Any], file: Path) -> str:
    """Say where a space file lies on the machines, below the checkout there."""
    for there, here in (config.get("file_mounts") or {}).items():
        folder = Path(here).expanduser().resolve()
        if there.startswith(f"~/{CHECKOUT}/") and space.resolve().is_relative_to(folder):
            below = Path(there).relative_to(f"~/{CHECKOUT}")
            return str(below / space.resolve().relative_to(folder))
    raise UserError(
        f"{space} is not taken along to the cluster\n"
        f"put it into searchspaces/, or its folder under file_mounts of {file}"
    )


def follow(file: Path, words: Sequence[str]) -> int:
    """Submit the search, or attach to the one with the same words, and show what it says."""
    command = f"cd ~/{CHECKOUT} && python -m cluster.launch.head_job {shlex.join(words)}"
    code: int | None = None
    before: list[str] = []
    try:
        with _ray(["exec", str(file), command], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            begun = False
            for line in process.stdout:
                begun = begun or line.startswith(BEGUN)
                if ended := ENDED.search(line):
                    code, begun = int(ended[1]), False
                elif begun:
                    print(line.rstrip("\r\n"), flush=True)
                else:  # Ray's command line talks before and after
                    before.append(line)
    except KeyboardInterrupt:
        print("\nnot followed any more; the search goes on, and the same command attaches to it")
        return INTERRUPTED
    if code is None:
        print("".join(before), file=sys.stderr)
        print("the head was lost from sight; the same command attaches again", file=sys.stderr)
        return LOST
    return code


def ray(words: Sequence[str], quiet: bool = False) -> int:
    """Run Ray's command line to its end; gives its exit code."""
    process = _ray(words, stdout=subprocess.DEVNULL if quiet else None)
    return process.wait()


def _ray(words: Sequence[str], stdout: int | None) -> subprocess.Popen[str]:
    # Ray's own program may lie outside of PATH where this one was called by its full name.
    program = "import sys; sys.argv[0] = 'ray'; from ray.scripts.scripts import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=stdout,
        text=True,
        errors="replace",
        env={"RAY_UP_enable_autoscaler_v2": "1", "RAY_USAGE_STATS_ENABLED": "0", **os.environ},
    )
