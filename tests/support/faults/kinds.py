"""The faults: each is a function of the search that it is injected into."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

from tests.support.faults.scene import PATIENCE, Scene
from tests.support.mlflow_server import serve_errors

AWAY = 30.0  # seconds without a tracking server

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


def hung(scene: Scene) -> str | None:
    """Stop a process that trains, so that it neither reports nor ends by SIGTERM."""
    pid = _signal_worker(scene, signal.SIGSTOP)
    return f"the worker {pid} hung" if pid else None


def group(scene: Scene) -> str | None:
    """Send SIGTERM to the driver and then to its group, as `timeout` and batch systems do."""
    assert scene.search is not None
    deadline = time.monotonic() + PATIENCE
    # The imports come before the first line: until then, a signal ends the driver without one.
    while not (scene.ledger.exists() and scene.output()):
        if scene.search.poll() is not None or time.monotonic() > deadline:
            return None
        time.sleep(0.1)
    if scene.search.poll() is not None:
        return None
    os.kill(scene.search.pid, signal.SIGTERM)
    os.killpg(scene.search.pid, signal.SIGTERM)
    code = scene.search.wait(timeout=60)
    assert code in (0, 130), scene.output()
    is_told = "continue with the same command and --resume" in scene.output()
    assert code == 0 or is_told, scene.output()
    return "the driver's group got SIGTERM"


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


def errors(scene: Scene) -> str:
    """Let the tracking server answer every request with an error for a while."""
    scene.server.kill()
    with serve_errors(scene.server.address):
        time.sleep(AWAY)
    scene.server.start()
    return f"the tracking server answered errors for {AWAY:g} s"


def moved(scene: Scene) -> str:
    """Kill the driver and move its storage folder."""
    scene.kill()
    before = scene.storage
    scene.moved += 1
    if before.exists():
        before.rename(scene.storage)
    return "the storage was moved"


def clock(scene: Scene) -> str:
    """Kill the driver, and start the next one with a clock that is set back by an hour."""
    scene.kill()
    scene.clock = -3600.0
    return "the clock was set back"


def full(scene: Scene) -> str | None:
    """Fill the disk until the search notices, then free it."""
    filler = scene.storage.parent / "filler"  # the driver may not have made its folder yet
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
        assert time.monotonic() < deadline, (
            f"two drivers run the same search\n{scene.output(second)}"
        )
        time.sleep(0.1)
    if second.poll() is None:
        scene.search = second
    else:
        assert second.returncode in (0, 2), scene.output(second)
    assert len(list(scene.storage.glob("toy*"))) < 2, "two drivers started a search each"
    return "a second driver was started"


FAULTS: dict[str, Fault] = {
    f.__name__: f
    for f in (
        *(driver, worker, notice, hung, group, node),
        *(away, errors, full, torn, twins, moved, clock),
    )
}
