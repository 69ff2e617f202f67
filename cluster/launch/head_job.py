"""The head's half of `--cluster`: a search as a job of Ray, which needs nobody to watch it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.execution.resources import BOOTSTRAP_CONFIG

DASHBOARD = "http://127.0.0.1:8265"
PATIENCE = 300.0
"""Seconds that a head may take to answer, and machines that are always there to join."""


def entrypoint(words: Sequence[str]) -> str:
    """Give the shell command that runs the search, in the checkout, whoever runs it."""
    return f"cd {shlex.quote(str(Path.cwd()))} && exec " + shlex.join(
        [sys.executable, "-m", "trainables.tune", *words]
    )


def submit(words: Sequence[str], client: Any) -> str:
    """Start the search as a job, or find the one that runs with these words; gives its id."""
    command = entrypoint(words)
    for job in client.list_jobs():
        if job.entrypoint == command and not job.status.is_terminal():
            print(f"attached to {job.submission_id}, which runs already", flush=True)
            return str(job.submission_id)
    number = str(client.submit_job(entrypoint=command))
    print(f"submitted as {number}", flush=True)
    return number


async def stream_logs(number: str, client: Any) -> None:
    """Print what a job says, until it has ended."""
    async for lines in client.tail_job_logs(number):
        print(lines, end="", flush=True)


def wait_for_exit_code(number: str, client: Any) -> int:
    """Wait for a job's end; gives the exit code of its command."""
    while not (info := client.get_job_info(number)).status.is_terminal():
        time.sleep(0.5)
    if info.driver_exit_code is None:
        print(info.message, flush=True)
        return 1
    return int(info.driver_exit_code)


def expected_nodes(config: dict[str, Any]) -> int:
    """Count the machines that a cluster always has."""
    types = config.get("available_node_types", {})
    return 1 + sum(int(kind.get("min_workers", 0)) for kind in types.values())


def wait_for_nodes() -> None:
    """Wait for the machines that are always there: a search shares out what it finds."""
    from ray.util.state import list_nodes

    file = BOOTSTRAP_CONFIG.expanduser()
    if not file.exists():
        return
    want, deadline = (
        expected_nodes(json.loads(file.read_text(encoding="utf-8"))),
        time.time() + PATIENCE,
    )
    alive: dict[str, Any] = {"filters": [("state", "=", "ALIVE")], "limit": want}
    while len(list_nodes(address=DASHBOARD, **alive)) < want:
        if time.time() > deadline:
            print(f"not all of {want} machines are there; going on without", flush=True)
            return
        time.sleep(1)


def connect() -> Any:
    """Give a client of the jobs on this machine, as soon as they answer."""
    from ray.job_submission import JobSubmissionClient

    deadline = time.time() + PATIENCE
    while True:
        try:
            return JobSubmissionClient(DASHBOARD)
        except ConnectionError:
            if time.time() > deadline:
                raise
            time.sleep(1)


def main(words: list[str]) -> int:
    """Run or attach to the search of these words; gives its exit code, and says it."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    client = connect()
    wait_for_nodes()
    number = submit(words, client)
    asyncio.run(stream_logs(number, client))
    ended = wait_for_exit_code(number, client)
    print(f"the search has ended with exit code {ended}", flush=True)
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
