"""Clusters of several hosts on this machine, started from the shipped files.

What is changed in the files is what a user would change, and in `gpu.yaml` the minutes that an
idle machine is kept; all of it stands in `LOCAL` and `CLOUD` below.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from cluster.ledger.trial_log import TrialLog, read_trial_log
from tests.support.lab.machines import Lab, missing
from trainables.integrity import decode_json

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

LAPTOP, HEAD, WORKERS = "172.31.250.10", "172.31.250.11", ["172.31.250.12", "172.31.250.13"]
LOCAL = {
    "head_ip: 192.168.1.10": f"head_ip: {HEAD}",
    "[192.168.1.11, 192.168.1.12]": f"[{', '.join(WORKERS)}]",
    "~/.ssh/id_ed25519": "{folder}/key",
    "/mnt/shared/tunery": "{folder}/shared",
    "http://your-server:5000": "",
}
CLOUD = {
    "s3://your-bucket/tunery": "{folder}/shared",
    "http://your-server:5000": "",
    "idle_timeout_minutes: 5": "idle_timeout_minutes: 1",
}
SEARCH = "python -m trainables.tune --space toy --sampler random --scheduler none"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    if why := missing():
        pytest.skip(why)
    with Lab(tmp_path) as made:
        yield made


def edit(lab: Lab, name: str, changes: dict[str, str]) -> None:
    """Change the file in the laptop's checkout as a user would."""
    file = lab.checkout("laptop") / "cluster" / name
    text = file.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new.format(folder=lab.folder))
    file.write_text(text)


class Command:
    """A command on the laptop, and its output."""

    def __init__(self, lab: Lab, command: str, name: str = "laptop") -> None:
        self.log = lab.folder / f"output-{time.monotonic_ns()}.txt"
        with self.log.open("w") as log:
            self.process = lab.on(
                name, command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def done(self) -> str:
        assert self.process.wait() == 0, self.text
        return self.text

    def wait_until(self, condition: Callable[[], object]) -> None:
        while not condition():
            assert self.process.poll() is None, self.text
            time.sleep(0.2)


def run(lab: Lab, command: str, name: str = "laptop") -> str:
    return Command(lab, command, name).done()


def trial_logs(lab: Lab) -> list[TrialLog]:
    files = sorted(lab.shared.glob("toy/trials/*/reports.jsonl"))
    return [trial_log for file in files if (trial_log := read_trial_log(file))]


def check_secrets(lab: Lab, output: str) -> None:
    """Check that no token and no key is in the output, the storage or Ray's own logs."""
    home = lab.folder / "machines" / "laptop" / "home"
    token = (home / ".ray" / "auth_token").read_text().strip()
    keys = [lab.folder / "key", *(home / ".ssh").glob("ray-autoscaler*.pem")]
    # The lines of a key; the first is the same in every key of OpenSSH, the last one may be short.
    lines = [line for key in keys for line in key.read_text().splitlines()[2:-2]]
    files = [file for file in lab.shared.rglob("*") if file.is_file()]
    for kind in ("log", "out", "err"):
        logs = [file for file in lab.folder.glob(f"machines/*/ray/**/*.{kind}") if file.is_file()]
        assert logs, kind
        files += logs
    for secret in (token, *lines):
        assert len(secret) > 20
        assert secret not in output
        for file in files:
            assert secret.encode() not in file.read_bytes(), file


def test_a_search_on_local_hosts(lab: Lab) -> None:
    for name, address in zip(
        ("laptop", "head", "w1", "w2"), (LAPTOP, HEAD, *WORKERS), strict=True
    ):
        lab.boot(name, address)
    edit(lab, "local.yaml", LOCAL)
    output = run(lab, f"{SEARCH} --trials 6 --set nap=3 --cluster cluster/local.yaml")
    assert "best trials by loss" in output
    assert "ray down --yes cluster/local.yaml" in output
    found = trial_logs(lab)
    assert [trial_log.outcome for trial_log in found] == ["complete"] * 6
    places = {place.partition("/")[0] for trial_log in found for _, _, place in trial_log.spans}
    assert places <= {"head", "w1", "w2"}
    assert len(places) >= 2, places

    # Access needs the token; the dashboard answers only on the head.
    ask = "curl -s -o /dev/null -w '%{http_code}'"
    jobs = "http://127.0.0.1:8265/api/jobs/"
    assert run(lab, f"{ask} {jobs}", "head").endswith("401")
    assert run(lab, f"{ask} -H 'Authorization: Bearer wrong' {jobs}", "head").endswith("403")
    away = Command(lab, f"{ask} -m 5 http://{HEAD}:8265/", "w1")
    assert away.process.wait() != 0, away.text
    stranger = "env -u RAY_AUTH_TOKEN HOME=/nowhere RAY_AUTH_MODE=disabled"
    joined = Command(lab, f"{stranger} timeout 60 ray start --address={HEAD}:6379", "laptop")
    assert joined.process.wait() != 0, joined.text

    # The same search with `ray submit`, which runs the file itself on the head.
    again = "--space toy --resume --trials 7 --address auto"
    submitted = run(lab, f"ray submit cluster/local.yaml trainables/tune.py -- {again}")
    assert "7 trials" in submitted
    assert [trial_log.outcome for trial_log in trial_logs(lab)] == ["complete"] * 7
    output += submitted + run(lab, "ray down --yes cluster/local.yaml")
    assert "No nodes remaining" in output
    check_secrets(lab, output)


def test_a_search_on_cloud_instances(lab: Lab) -> None:
    from tests.support.lab.cloud import LINES, REGION, Cloud, ready

    with Cloud(lab, owner="laptop") as cloud:
        lab.boot("laptop", LAPTOP, LINES)
        edit(lab, "gpu.yaml", CLOUD)
        while not ready(lab.folder):
            time.sleep(0.2)
        output = run(
            lab, f"python -m cluster.aws --region {REGION} --bucket b --admit {LAPTOP}/32"
        )
        words = "--trials 4 --reports 12 --set nap=2 --gpus-per-trial 0.25"
        search = Command(lab, f"{SEARCH} {words} --cluster cluster/gpu.yaml")

        def reports() -> int:
            files = lab.shared.glob("toy/trials/*/reports.jsonl")
            return sum(file.read_text().count('"report": ') for file in files)

        search.wait_until(lambda: reports() >= 14)
        first = cloud.lives("spot")
        assert len(first) == 1, cloud.events  # four quarters of a GPU are one machine
        cloud.take(first[0])
        output += search.done()

        found = trial_logs(lab)
        assert [trial_log.outcome for trial_log in found] == ["complete"] * 4
        lost = [failure.failure_class for trial_log in found for failure in trial_log.failures]
        assert len(lost) == 4 and set(lost) <= {"lost", "preempted"}, lost
        for trial_log in found:
            assert [report.report for report in trial_log.reports] == list(range(1, 13))
            assert len({place for _, _, place in trial_log.spans}) == 2
            # The second worker continues the device time of the first one, and its best report.
            seconds = [report.seconds for report in trial_log.reports]
            assert all(before < after for before, after in pairwise(seconds)), seconds
            best = trial_log.find_best_report("loss", "min")
            file = lab.shared / f"toy/trials/{trial_log.trial:03d}/attempt-2/best/manifest.json"
            manifest = decode_json(file.read_bytes())
            assert (manifest["score"], manifest["report"]) == best
        second = [name for name in cloud.events if "boot" in name and "spot" in name]
        assert len(second) == 2, cloud.events

        deadline = time.monotonic() + 240
        while cloud.lives("spot"):
            assert time.monotonic() < deadline, cloud.events
            time.sleep(0.5)
        assert len(cloud.running) == 1  # the head
        output += run(lab, "ray down --yes cluster/gpu.yaml")
        while cloud.running:
            assert time.monotonic() < deadline, cloud.events
            time.sleep(0.5)
        check_secrets(lab, output)
