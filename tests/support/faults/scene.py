"""A search under faults: its cluster, its tracking server, its disk and its driver."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ray.cluster_utils import Cluster

from tests.support.mlflow_server import Server
from tests.support.paths import ROOT

TRIALS, REPORTS, NAP = 24, 5, 0.8
HANGS = 40.0  # seconds after which a report is taken to hang
PATIENCE = 150.0  # seconds in which a driver must have started
# `python -m trainables.tune`, with a clock that differs from this machine's by some seconds.
TUNE = """
import runpy, time
now = time.time
time.time = lambda: now() + {}
runpy.run_module("trainables.tune", run_name="__main__", alter_sys=True)
"""
SPACE = f'''
def train_logged(config: Config, run: Run) -> Loop:
    """Write a line to another disk for every report that is computed."""
    for metrics in train(config, run):
        assert run.folder is not None
        trial, attempt = run.folder.parent.name, run.folder.name.removeprefix("attempt-")
        with open(LOG, "a") as log:
            log.write(f"{{trial}} {{attempt}} {{run.done + 1}} {{os.getpid()}}\\n")
        yield metrics

SPACE = replace(SPACE, train=train_logged, trials={TRIALS}, reports={REPORTS})
'''


class Nodes:
    """A Ray cluster whose head runs no trials, and two nodes that run one each."""

    def __init__(self) -> None:
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self.workers = [self.cluster.add_node(num_cpus=1) for _ in range(2)]

    def lose(self, which: int) -> None:
        """Kill a node's raylet, and start another node in its place."""
        node = self.workers.pop(which)
        raylet = node.all_processes["raylet"][0].process
        raylet.kill()
        raylet.wait()  # as a zombie its workers would live on
        self.cluster.remove_node(node, allow_graceful=False)
        self.workers.append(self.cluster.add_node(num_cpus=1))

    def close(self) -> None:
        self.cluster.shutdown()


@dataclass
class Scene:
    """A search with its cluster, its tracking server and its disk."""

    folder: Path
    nodes: Nodes
    server: Server
    dice: random.Random
    search: subprocess.Popen[bytes] | None = None
    started: int = 0
    moved: int = 0
    clock: float = 0.0
    done: list[str] = field(default_factory=list)
    outputs: dict[int, Path] = field(default_factory=dict)  # of each driver, by its process id

    @property
    def storage(self) -> Path:
        return self.folder / "disk" / f"storage-{self.moved}"

    @property
    def ledger(self) -> Path:
        return self.storage / "toy"

    @property
    def log(self) -> Path:
        return self.folder / "worked.txt"

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a driver; its output goes into a file."""
        self.started += 1
        command = [
            *(sys.executable, "-c", TUNE.format(self.clock), "--space"),
            str(self.folder / "toy.py"),
            *("--storage", str(self.storage), "--address", self.nodes.cluster.address),
            *("--tracking-uri", f"http://{self.server.address}"),
            *("--sampler", "random", "--scheduler", "none", "--set", f"nap={NAP}"),
            *("--report-timeout", f"{HANGS:.0f}s", *words),
        ]
        self.clock = 0.0
        output = self.folder / f"output-{self.started}.txt"
        with output.open("wb") as out:
            driver = subprocess.Popen(
                command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True
            )
        self.outputs[driver.pid] = output
        return driver

    def output(self, driver: subprocess.Popen[bytes] | None = None) -> str:
        """Return what a driver has printed, by default the one of the search."""
        driver = driver or self.search
        assert driver is not None
        return self.outputs[driver.pid].read_text(errors="replace")

    def ensure_driver(self) -> None:
        """Start a driver if none runs, unless the last one ended with success."""
        if self.search is None:
            self.search = self.start()
        elif (code := self.search.poll()) not in (None, 0):
            if code > 0 and "Traceback" in self.output():
                raise AssertionError(f"a driver ended in a traceback:\n{self.output()}")
            self.search = self.start("--resume")

    def kill(self) -> None:
        assert self.search is not None
        self.search.kill()
        self.search.wait()
