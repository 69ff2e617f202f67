"""The part of `--cluster` on the head: a search as a Ray job, which outlives the launcher.

It prints one JSON object per line, so that the launcher parses no free text:
`{"event": "submitted", "job": ID}` or `"attached"`, `{"event": "log", "text": LINES}`,
`{"event": "note", "text": ...}` and at the end `{"event": "ended", "exit_code": N}`.
"""

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
"""Seconds that a head may take to answer, and its permanent nodes to join."""


def print_event(event: str, **fields: Any) -> None:
    """Print one event for the launcher, as a line of JSON."""
    print(json.dumps({"event": event, **fields}), flush=True)


def build_entrypoint(words: Sequence[str]) -> str:
    """Return the shell command that runs the search in the checkout."""
    return f"cd {shlex.quote(str(Path.cwd()))} && exec " + shlex.join(
        [sys.executable, "-m", "trainables.tune", *words]
    )


def submit(words: Sequence[str], client: Any) -> str:
    """Submit the search as a job, or find the running one with these words; return its id."""
    entrypoint = build_entrypoint(words)
    for job in client.list_jobs():
        if job.entrypoint == entrypoint and not job.status.is_terminal():
            print_event("attached", job=job.submission_id)
            return str(job.submission_id)
    job_id = str(client.submit_job(entrypoint=entrypoint))
    print_event("submitted", job=job_id)
    return job_id


async def stream_logs(job_id: str, client: Any) -> None:
    """Print the output of a job until it has ended."""
    async for lines in client.tail_job_logs(job_id):
        print_event("log", text=lines)


def wait_for_exit_code(job_id: str, client: Any) -> int:
    """Wait for the end of a job and return the exit code of its command."""
    while not (info := client.get_job_info(job_id)).status.is_terminal():
        time.sleep(0.5)
    if info.driver_exit_code is None:
        print_event("note", text=info.message)
        return 1
    return int(info.driver_exit_code)


def count_permanent_nodes(config: dict[str, Any]) -> int:
    """Return the number of nodes that a cluster always has."""
    types = config.get("available_node_types", {})
    return 1 + sum(int(node_type.get("min_workers", 0)) for node_type in types.values())


def wait_for_nodes() -> None:
    """Wait for the permanent nodes: a search allocates the resources that it finds."""
    from ray.util.state import list_nodes

    file = BOOTSTRAP_CONFIG.expanduser()
    if not file.exists():
        return
    wanted = count_permanent_nodes(json.loads(file.read_text(encoding="utf-8")))
    deadline = time.time() + PATIENCE
    alive: dict[str, Any] = {"filters": [("state", "=", "ALIVE")], "limit": wanted}
    while len(list_nodes(address=DASHBOARD, **alive)) < wanted:
        if time.time() > deadline:
            print_event("note", text=f"fewer than {wanted} nodes have joined; starting anyway")
            return
        time.sleep(1)


def connect_to_jobs() -> Any:
    """Return a client of the jobs on this machine, as soon as they answer."""
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
    """Run the search of these words, or attach to it; print and return its exit code."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    client = connect_to_jobs()
    wait_for_nodes()
    job_id = submit(words, client)
    asyncio.run(stream_logs(job_id, client))
    code = wait_for_exit_code(job_id, client)
    print_event("ended", exit_code=code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
