"""Inject faults into real searches at random moments, and check that nothing is lost.

    python -m tests.support.faults.harness --faults 50 --seed 1

Each search has 24 short trials on a Ray cluster of two small nodes, and writes to a tracking
server of its own and to a disk of 12 MB. Every fault is injected once, in an order and at moments
drawn from the seed; a driver that has ended is followed by one with `--resume`.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.faults import account
from tests.support.faults.kinds import FAULTS
from tests.support.faults.scene import NAP, REPORTS, SPACE, TRIALS, Nodes, Scene
from tests.support.mlflow_server import Server
from tests.support.paths import TRIVIAL


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
