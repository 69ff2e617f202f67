"""A search on another machine's Ray: `--cluster FILE` starts the cluster, submits and follows.

The search is a job of the cluster: it continues when following ends, and the same command
attaches to it again. The part on the head is `cluster.launch.head_job`.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cluster.execution.auth_token import ensure_private_token
from cluster.storage.redaction import has_credentials, redact_address
from trainables.errors import INTERRUPTED, UserError
from trainables.terminal import print_text

CHECKOUT = "tunery"  # in the home folder of every node; the shipped cluster files mount it there
LOST = 1
EVENT_FIELDS = {
    "log": "text",
    "note": "text",
    "submitted": "job",
    "attached": "job",
    "ended": "exit_code",
}
"""What each event of the head's job carries."""


def run_on_cluster(file: Path, words: Sequence[str], ask: Callable[[str], str] | None) -> int:
    """Start the cluster, run the search of these words there, offer to stop the cluster.

    `ask` asks the user; None where there is no terminal, and the cluster is left running.
    Returns the search's exit code; raises UserError for what can be checked from here.
    """
    config = read_cluster_file(file)
    arguments = translate_arguments(words, config, file)
    ensure_private_token()
    # Without `--no-restart` the searches that run there would be killed.
    if run_ray(["up", "--yes", "--no-restart", "--log-style", "pretty", str(file)]):
        raise UserError(
            f"the cluster of {file} did not start: see the output above\n"
            f"try it alone: ray up {shlex.quote(str(file))}"
        )
    code = follow(file, arguments)
    down = ["down", "--yes", str(file)]
    if ask and ask(f"stop the cluster of {file}? [y/N] ").strip().lower() in ("y", "yes"):
        run_ray(down)
    else:
        print_text(f"the cluster is still running; stop it with\n  {shlex.join(['ray', *down])}")
    return code


def check_cluster(file: Path, words: Sequence[str]) -> str:
    """Check a cluster file and the words of a search; return the note that a dry run prints."""
    config = read_cluster_file(file)
    translate_arguments(words, config, file)
    name = config.get("cluster_name", "")
    return f"the search would run on the cluster {name} of {file}; the rest is checked here"


def read_cluster_file(file: Path) -> dict[str, Any]:
    """Read a cluster file; raises UserError for one that Ray could not start."""
    import yaml

    if not file.is_file():
        raise UserError(f"--cluster {file}: no such file")
    if find_spec("ray.autoscaler") is None or find_spec("aiohttp_cors") is None:
        raise UserError("--cluster needs Ray's cluster launcher: pip install '.[cluster]'")
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"cannot read --cluster {file}: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("provider"), dict):
        raise UserError(f"--cluster {file} is not a cluster file of `ray up`: it has no provider")
    for target, source in (config.get("file_mounts") or {}).items():
        if not Path(source).expanduser().exists() and source != "~/.ray":
            raise UserError(
                f"{file} mounts {source}, which does not exist here, as {target}\n"
                "run the command in the folder of the checkout"
            )
    return config


def translate_arguments(words: Sequence[str], config: dict[str, Any], file: Path) -> list[str]:
    """Return the search's words for the head: without --cluster, files by their place there.

    Raises UserError for a space file that is not mounted, and for credentials in the words.
    """
    check_no_credentials(
        words, f"put them into ~/.mlflow/credentials, and mount ~/.mlflow in {file}"
    )
    arguments = list(words)
    for at in reversed(range(len(arguments))):
        if arguments[at] == "--cluster":
            del arguments[at : at + 2]
        elif arguments[at].startswith("--cluster="):
            del arguments[at]
    for at, word in enumerate(arguments):
        is_value = at and arguments[at - 1] == "--space"
        space = word if is_value else word.removeprefix("--space=")
        if space.endswith(".py") and (is_value or space != word):
            arguments[at] = word.replace(space, find_on_cluster(Path(space), config, file))
    return [*arguments, "--address", "auto"]


def check_no_credentials(words: Sequence[str], fix: str) -> None:
    """Raise UserError for words with credentials: Ray shows the command of a job to all users."""
    if secret := next(filter(has_credentials, words), None):
        raise UserError(
            f"{redact_address(secret)} contains credentials, which everybody on the cluster could "
            f"read\n{fix}"
        )


def find_on_cluster(space: Path, config: dict[str, Any], file: Path) -> str:
    """Return where a space file lies on the nodes, relative to the checkout there."""
    for target, source in (config.get("file_mounts") or {}).items():
        folder = Path(source).expanduser().resolve()
        if target.startswith(f"~/{CHECKOUT}/") and space.resolve().is_relative_to(folder):
            below = Path(target).relative_to(f"~/{CHECKOUT}")
            return str(below / space.resolve().relative_to(folder))
    raise UserError(
        f"{space} is not copied to the cluster\n"
        f"move it into searchspaces/, or add its folder to file_mounts of {file}"
    )


def follow(file: Path, words: Sequence[str]) -> int:
    """Submit the search, or attach to the one with the same words, and print its output."""
    command = f"cd ~/{CHECKOUT} && python -m cluster.launch.head_job {shlex.join(words)}"
    code: int | None = None
    other: list[str] = []
    try:
        with _start_ray(["exec", str(file), command], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in process.stdout:
                event = read_event(line)
                if event is None:  # Ray's command line prints its own text around the job's
                    other.append(line)
                elif event["event"] == "ended":
                    code = int(event["exit_code"])
                else:
                    print_event_text(event)
    except KeyboardInterrupt:
        print_text("\nstopped following: the search continues; the same command attaches to it")
        return INTERRUPTED
    if code is None:
        print_text("".join(other), sys.stderr)
        print_text(
            "lost the connection to the head; the same command attaches to the search again",
            sys.stderr,
        )
        return LOST
    return code


def read_event(line: str) -> dict[str, Any] | None:
    """Return an event of the head's job; None for any other line."""
    # Ray's command line may print text without an end of line before an event.
    _, start, rest = line.partition('{"event": ')
    try:
        event = json.loads(start + rest)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    return event if event.get(EVENT_FIELDS.get(event["event"])) is not None else None


def print_event_text(event: dict[str, Any]) -> None:
    """Print what an event says to the user."""
    match event["event"]:
        case "log":
            print_text(event["text"], end="")
        case "attached":
            print_text(f"attached to the running job {event['job']}")
        case "submitted":
            print_text(f"submitted as job {event['job']}")
        case "note":
            print_text(event["text"])


def run_ray(words: Sequence[str]) -> int:
    """Run Ray's command line to its end and return its exit code."""
    return _start_ray(words, stdout=None).wait()


def _start_ray(words: Sequence[str], stdout: int | None) -> subprocess.Popen[str]:
    # Ray's own program may not be on PATH where this one was called by its full path.
    program = "import sys; sys.argv[0] = 'ray'; from ray.scripts.scripts import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=stdout,
        text=True,
        errors="replace",
        env={"RAY_UP_enable_autoscaler_v2": "1", "RAY_USAGE_STATS_ENABLED": "0", **os.environ},
    )
