"""A Ray of the search's own is reached from this machine alone, and by no group's signal."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.paths import ROOT
from trainables.errors import INTERRUPTED

SCRIPT = """
import os
import time
import ray
import psutil  # which comes with Ray
from cluster.execution import local_ray
from cluster.execution.connect import connect

local_ray.PATIENCE = 0.5
with connect(None):
    ray.get(ray.remote(lambda: None).remote())  # a worker listens, too
    processes = psutil.Process().children(recursive=True)
    sockets = [s for p in [psutil.Process(), *processes] for s in p.net_connections("inet")]
    listening = [s.laddr.ip for s in sockets if s.status == "LISTEN"]
    print("processes", len(processes), "sockets", len(listening))
    print("listening on", *{ip.removeprefix("::ffff:") for ip in listening})
    print("in my group", [p.name() for p in processes if os.getpgid(p.pid) == os.getpgrp()])
    print(*[p.pid for p in processes], flush=True)
    ray._private.worker._global_node.all_processes["gcs_server"][0].process.kill()
    ray.nodes()  # waits for a minute
"""


def test_a_local_ray_is_out_of_reach_and_its_loss_ends_the_search_with_advice() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    counts, listening, group, _ = done.stdout.splitlines()
    assert int(counts.split()[1]) >= 6, counts  # GCS, raylet, their agents, a worker
    assert int(counts.split()[3]) >= 6, counts
    assert listening == "listening on 127.0.0.1"
    assert group == "in my group []"
    assert done.returncode == INTERRUPTED
    assert "Ray has ended; continue with the same command and --resume" in done.stderr
