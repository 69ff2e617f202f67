"""An AWS on one machine: moto answers for EC2 and IAM, and its instances are started as hosts.

moto records instances and starts nothing. Here, every instance in the state running gets a host
with its addresses, and the host of a terminated one is killed.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3

from tests.support.lab.machines import GATE, Lab

REGION = "us-west-2"
ENDPOINT = f"http://{GATE}:5000"
SETTINGS = {
    "AWS_ENDPOINT_URL": ENDPOINT,
    "AWS_ACCESS_KEY_ID": "mocked",
    "AWS_SECRET_ACCESS_KEY": "mocked",
    "AWS_DEFAULT_REGION": REGION,
}
LINES = "export " + " ".join(f"{name}={value}" for name, value in SETTINGS.items()) + "\n"
NEW_NETWORK = 0x40000000  # CLONE_NEWNET of setns(2)


class Cloud:
    """The mock, and a thread that starts and kills hosts for it; use as a context."""

    def __init__(self, lab: Lab, owner: str) -> None:
        self.lab = lab
        self.owner = owner
        self.running: dict[str, str] = {}
        self.events: list[str] = []
        self._ask: list[Callable[[Any], object]] = []
        self._end = threading.Event()
        self.trouble: Exception | None = None

    def __enter__(self) -> Cloud:
        self.log = (self.lab.folder / "moto.log").open("w")
        self.moto = subprocess.Popen(
            [*self.lab.inside, sys.executable, "-m", "moto.server", "-H", GATE, "-p", "5000"],
            stdout=self.log,
            stderr=self.log,
        )
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.thread.join(20)
        self.moto.kill()
        self.moto.wait()
        self.log.close()

    def take(self, instance: str) -> None:
        """Take a spot instance back."""
        self._ask.append(lambda ec2: ec2.terminate_instances(InstanceIds=[instance]))

    def lives(self, kind: str) -> list[str]:
        """List the running instances of a kind: spot or on-demand."""
        return [instance for instance, life in self.running.items() if life == kind]

    def _run(self) -> None:
        # Of this thread alone: its sockets are in the network of the machines from here on.
        inner = self.lab.inside[2]
        handle = os.open(f"/proc/{inner}/ns/net", os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(handle, NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
        ec2 = boto3.client(
            "ec2",
            region_name=REGION,
            endpoint_url=ENDPOINT,
            aws_access_key_id="mocked",
            aws_secret_access_key="mocked",
        )
        while not self._end.wait(0.5):
            try:
                while self._ask:
                    self._ask.pop()(ec2)
                self._see(ec2)
            except Exception as error:
                self.trouble = error  # moto is not up yet, or something to be seen in the test

    def _see(self, ec2: Any) -> None:
        found = {
            instance["InstanceId"]: instance
            for reservation in ec2.describe_instances()["Reservations"]
            for instance in reservation["Instances"]
            if instance["State"]["Name"] == "running"
        }
        for name, instance in found.items():
            if name not in self.running:
                self._admit()
                self.running[name] = instance.get("InstanceLifecycle", "on-demand")
                self._say("boot", name, self.running[name], instance["InstanceType"])
                public = instance.get("PublicIpAddress", "")
                self.lab.boot(short(name), instance["PrivateIpAddress"], LINES, public)
        for name in [name for name in self.running if name not in found]:
            self._say("gone", name, self.running.pop(name))
            self.lab.cut(short(name))

    def _admit(self) -> None:
        """Let in who has the key pair that Ray made, as an instance's first boot would."""
        home = self.lab.folder / "machines" / self.owner / "home"
        public = [(self.lab.folder / "key.pub").read_text()]
        for key in (home / ".ssh").glob("ray-autoscaler*.pem"):
            made = subprocess.run(
                ["ssh-keygen", "-y", "-f", str(key)], capture_output=True, text=True, check=True
            )
            public.append(made.stdout)
        (self.lab.folder / "authorized_keys").write_text("".join(public))

    def _say(self, *words: str) -> None:
        self.events.append(f"{time.strftime('%T')} {' '.join(words)}")


def short(instance: str) -> str:
    """Give the name of an instance's machine, which must fit into a network interface's."""
    return instance[:12]


def ready(folder: Path) -> bool:
    """Tell whether moto answers."""
    with suppress(OSError):
        return "Running on" in (folder / "moto.log").read_text()
    return False
