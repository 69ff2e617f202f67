"""Inject faults into real searches at random moments, and check that nothing is lost.

    python -m tests.support.faults.harness --faults 50 --seed 1

Each search has 24 short trials on a Ray cluster of two small nodes, and writes to a tracking
server of its own and to a disk of 12 MB. Every fault is injected once, in an order and at moments
drawn from the seed; a driver that has ended is followed by one with `--resume`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ray.cluster_utils import Cluster

from tests.support.faults import account
from tests.support.mlflow_server import Server
from tests.support.paths import ROOT, TRIVIAL

TRIALS, REPORTS, NAP = 24, 5, 0.8
AWAY = 30.0  # seconds without a tracking server
PATIENCE = 150.0  # seconds in which a driver must have started
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
    done: list[str] = field(default_factory=list)

    @property
    def storage(self) -> Path:
        return self.folder / "disk"

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
            *(sys.executable, "-m", "trainables.tune", "--space", str(self.folder / "toy.py")),
            *("--storage", str(self.storage), "--address", self.nodes.cluster.address),
            *("--tracking-uri", f"http://{self.server.address}"),
            *("--sampler", "random", "--scheduler", "none", "--set", f"nap={NAP}", *words),
        ]
        with (self.folder / f"output-{self.started}.txt").open("wb") as out:
            return subprocess.Popen(
                command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True
            )

    def output(self) -> str:
        return (self.folder / f"output-{self.started}.txt").read_text(errors="replace")

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


Fault = Callable[[Scene], str | None]  # returns what was done; None: there was nothing to do


def driver(scene: Scene) -> str:
    """Kill the driver."""
    scene.kill()
    return "the driver was killed"


def worker(scene: Scene) -> str | None:
    """Kill a process that trains."""
    pid = _signal_worker(scene, signal.SIGKILL)
    return f"the worker {pid} was killed" if pid else None


def notice(scene: Scene) -> str | None:
    """Send SIGTERM to a process that trains, as a cloud does before it takes a machine."""
    pid = _signal_worker(scene, signal.SIGTERM)
    return f"the worker {pid} got SIGTERM" if pid else None


def _signal_worker(scene: Scene, how: signal.Signals) -> int | None:
    """Send a signal to the process that trained last, once there is one."""
    assert scene.search is not None
    deadline = time.monotonic() + PATIENCE
    while scene.search.poll() is None and time.monotonic() < deadline:
        lines = scene.log.read_text().splitlines() if scene.log.exists() else []
        for pid in reversed([int(line.split()[3]) for line in lines[-4:]]):
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue
            return pid
        time.sleep(0.1)
    return None


def node(scene: Scene) -> str:
    """Kill a node."""
    which = scene.dice.randrange(len(scene.nodes.workers))
    scene.nodes.lose(which)
    return f"the raylet of node {which} was killed"


def away(scene: Scene) -> str:
    """Take the tracking server away for a while."""
    scene.server.kill()
    time.sleep(AWAY)
    scene.server.start()
    return f"the tracking server was away for {AWAY:g} s"


def full(scene: Scene) -> str | None:
    """Fill the disk until the search notices, then free it."""
    filler = scene.storage / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 65536) == 65536:
                pass
    except OSError:
        pass
    try:
        assert scene.search is not None
        code = scene.search.wait(timeout=40)
    except subprocess.TimeoutExpired:
        code = 0
    filler.unlink()
    return "the disk was full" if code else None


def torn(scene: Scene) -> str:
    """Kill the driver and cut the last line of the newest file of the ledger."""
    scene.kill()
    files = sorted(scene.ledger.glob("trials/*/reports.jsonl"), key=lambda p: p.stat().st_mtime)
    if files:
        files[-1].write_bytes(files[-1].read_bytes()[: -scene.dice.randint(2, 30)])
    return "the driver was killed in the middle of a line"


def twins(scene: Scene) -> str:
    """Start a second driver on the same search; one of the two must be rejected."""
    assert scene.search is not None
    first, second = scene.search, scene.start("--resume")
    deadline = time.monotonic() + PATIENCE
    while first.poll() is None and second.poll() is None:
        assert time.monotonic() < deadline, f"two drivers run the same search\n{scene.output()}"
        time.sleep(0.1)
    if second.poll() is None:
        scene.search = second
    else:
        assert second.returncode in (0, 2), scene.output()
    assert len(list(scene.storage.glob("toy*"))) < 2, "two drivers started a search each"
    return "a second driver was started"


FAULTS: dict[str, Fault] = {
    f.__name__: f for f in (driver, worker, notice, node, away, full, torn, twins)
}


@contextmanager
def mount_small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk of 12 MB where that is allowed; yield whether it was."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def can_mount() -> bool:
    """Return whether a disk can be mounted here."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mount_small_disk(Path(folder) / "disk") as mounted,
    ):
        return mounted


def attack(folder: Path, faults: list[str], dice: random.Random) -> list[str]:
    """Run one search under these faults, check it, and return what was done to it."""
    trivial = TRIVIAL.read_text(encoding="utf-8")
    log = f"from dataclasses import replace\nLOG = {str(folder / 'worked.txt')!r}\n"
    (folder / "toy.py").write_text(f"{trivial}\n{log}{SPACE}", encoding="utf-8")
    server, nodes = Server(folder), Nodes()
    scene = Scene(folder, nodes, server, dice)
    with mount_small_disk(folder / "disk") as mounted:
        try:
            server.start()
            for name in faults if mounted else [name for name in faults if name != "full"]:
                scene.ensure_driver()
                time.sleep(dice.uniform(0.5, 8))
                assert scene.search is not None
                if scene.search.poll() == 0:
                    break
                if done := FAULTS[name](scene):
                    scene.done.append(done)
                print(f"  {done or f'{name}: nothing to do'}", flush=True)
            for _ in range(5):
                scene.ensure_driver()
                assert scene.search is not None
                if scene.search.wait() == 0:
                    break
            assert scene.search is not None
            assert scene.search.returncode == 0, scene.output()
            account.check_search(
                scene.ledger, f"http://{server.address}", folder, TRIALS, REPORTS, {"nap": NAP}
            )
            return scene.done
        finally:
            if scene.search is not None and scene.search.poll() is None:
                scene.kill()
            server.kill()
            nodes.close()


def main() -> None:
    """Run searches until enough faults were injected; raises AssertionError for any loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    if not can_mount():
        print("no disk can be mounted here: `full` is left out")
    dice, done, searches = random.Random(options.seed), 0, 0
    while done < options.faults:
        names = dice.sample(sorted(FAULTS), min(len(FAULTS), options.faults - done))
        searches += 1
        print(f"search {searches}: {', '.join(names)}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            done += len(attack(Path(folder), names, dice))
    print(f"{done} faults in {searches} searches of {TRIALS} trials, nothing lost")


if __name__ == "__main__":
    main()
