"""Machines made of namespaces: each has its own network, processes, mounts, home and sshd.

All of them live in one box of namespaces, so that they can be ended as a whole by ending the
process that holds it, and nothing of them is seen outside: `ray stop`, which ends every Ray
process in sight, sees those of its own machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from tests.support.paths import ROOT, TRIVIAL

NEEDED = ("unshare", "nsenter", "ip", "sshd", "ssh", "ssh-keygen", "rsync", "screen")
PACKAGES = ("cluster", "reports", "searchspaces", "trainables")
USER = "ubuntu"
GATE = "172.31.240.1"  # in the default network of AWS, where the mock puts its machines
PROGRAMS = {
    "ray": "from ray.scripts.scripts import main\nmain()",
    "pip": "import sys\nfrom pip._internal.cli.main import main\nsys.exit(main())",
}


def missing() -> str | None:
    """Say why there can be no machines here, if so."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if absent := [name for name in NEEDED if shutil.which(name, path=path) is None]:
        return f"not installed: {', '.join(absent)}"
    if os.geteuid() != 0:
        return "namespaces with their own addresses need root"
    try:
        import boto3  # noqa: F401
        import moto  # noqa: F401
        import ray.dashboard.modules.job.job_head  # noqa: F401
    except ImportError as error:
        return f"pip install -e '.[lab]': {error}"
    words = "unshare --net --pid --mount --fork --mount-proc ip link add tried type bridge"
    tried = subprocess.run(
        words.split(),
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None


class Lab:
    """A switch with machines on it; use it in a `with`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines: dict[str, subprocess.Popen[bytes]] = {}
        self.shared = folder / "shared"
        self.home = folder / "home"  # where every machine has its own

    def __enter__(self) -> Lab:
        for name in ("shared", "home", "machines", "image"):
            (self.folder / name).mkdir()
        Path("/tmp/ray").mkdir(exist_ok=True)
        words = "unshare --net --mount --pid --ipc --uts --fork --kill-child --mount-proc"
        self.box = subprocess.Popen([*words.split(), "sleep", "infinity"])
        self._image()
        self._sshd()
        deadline = time.monotonic() + 10
        while not (inner := self._inner()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.inside = ["nsenter", "-t", inner, "--net", "--mount", "--pid", "--ipc", "--uts"]
        self._run("mkdir -p /run/netns && mount -t tmpfs tmpfs /run && mkdir /run/netns")
        self._run("ip link set lo up; ip link add lab type bridge; ip link set lab up")
        self._run(f"ip addr add {GATE}/16 dev lab")
        return self

    def __exit__(self, *_: object) -> None:
        self.box.kill()
        self.box.wait()
        for process in self.machines.values():
            process.wait()

    def boot(self, name: str, address: str, lines: str = "", alias: str = "") -> None:
        """Start a machine; `lines` of shell are read by every shell of its user.

        An `alias` is a second address, as a public one is.
        """
        place = self.folder / "machines" / name
        shutil.copytree(self.folder / "image", place / "home", symlinks=True)
        (place / "ray").mkdir()
        (place / "hosts").write_text(f"127.0.0.1 localhost\n{address} {name}\n")
        with (place / "home" / ".bashrc").open("a") as file:
            file.write(lines)
        shutil.copy(place / "home" / ".bashrc", place / "home" / ".bash_profile")
        script = place / "boot.sh"
        script.write_text(
            f"""hostname {name}
            mount --make-rprivate /
            mount --bind {self.folder}/passwd /etc/passwd
            mount --bind {place}/home {self.home}
            mount --bind {place}/ray /tmp/ray
            mount --bind {place}/hosts /etc/hosts
            mount -t tmpfs -o size=80% tmpfs /dev/shm
            mount -t tmpfs tmpfs /run && mkdir /run/sshd
            exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
                HOME={self.home} /usr/sbin/sshd -D -e -f {self.folder}/sshd_config
            """
        )
        self._run(f"ip netns add {name}; ip link add {name} type veth peer name eth0 netns {name}")
        self._run(f"ip link set {name} master lab up; ip -n {name} addr add {address}/16 dev eth0")
        # Ray finds its own address by asking for the way out; nothing answers there.
        for words in ("link set lo up", "link set eth0 up", "route add default dev eth0"):
            self._run(f"ip -n {name} {words}")
        if alias:
            self._run(f"ip -n {name} addr add {alias}/32 dev eth0")
        words = "unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc bash"
        with (place / "sshd.log").open("w") as log:
            self.machines[name] = subprocess.Popen(
                [*self.inside, "ip", "netns", "exec", name, *words.split(), str(script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def cut(self, name: str) -> None:
        """End a machine as by its power switch."""
        process = self.machines.pop(name)
        pids = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
        )
        for pid in [*pids.stdout.split(), process.pid]:
            subprocess.run(["kill", "-9", str(pid)], check=False)
        process.wait()
        time.sleep(0.2)
        self._run(f"ip link del {name}; ip netns del {name}", check=False)

    def on(self, name: str, *command: object, **how: object) -> subprocess.Popen[str]:
        """Start a command on a machine, in its checkout, with its user's settings."""
        inner = self._inner(self.machines[name].pid, deep=True)
        enter = ["nsenter", "-t", inner, "--net", "--mount", "--pid", "--ipc", "--uts"]
        text = " ".join(map(str, command))
        clean = ["env", "-i", f"HOME={self.home}", "USER=root", "TERM=dumb"]
        line = f"cd && . ./.bashrc && if [ -d checkout ]; then cd checkout; fi && {text}"
        return subprocess.Popen([*enter, *clean, "bash", "-c", line], text=True, **how)  # type: ignore[call-overload, no-any-return]

    def checkout(self, name: str) -> Path:
        """Put a copy of what is shipped, and a space to try it with, on a machine."""
        place = self.folder / "machines" / name / "home" / "checkout"
        for package in PACKAGES:
            shutil.copytree(
                ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, place)
        shutil.copy(TRIVIAL, place / "searchspaces" / "toy.py")
        return place

    def _image(self) -> None:
        """Make the home that machines start with: our environment's packages, but not our code.

        `pip install` of a checkout, as the shipped files do, needs no index: what it asks for is
        there already.
        """
        image = self.folder / "image"
        make = [sys.executable, "-m", "venv", "--without-pip", str(image / "venv")]
        subprocess.run(make, check=True)
        site = next((image / "venv").glob("lib/python*/site-packages"))
        ours = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (site / "outer.pth").write_text("\n".join([sysconfig.get_path("purelib"), *ours]))
        for name, program in PROGRAMS.items():
            script = image / "venv" / "bin" / name
            script.write_text(f"#!{self.home}/venv/bin/python\n{program}\n")
            script.chmod(0o755)
        # By a quirk of pip, "false" says that there shall be no isolation.
        (image / ".config" / "pip").mkdir(parents=True)
        (image / ".config" / "pip" / "pip.conf").write_text(
            "[global]\nno-index = true\ndisable-pip-version-check = true\n"
            "[install]\nno-deps = true\nno-build-isolation = false\n"
        )
        (image / ".bashrc").write_text("export PATH=~/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1\n")

    def _sshd(self) -> None:
        for name in ("key", "hostkey"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)],
                check=True,
            )
        (self.folder / "authorized_keys").write_text((self.folder / "key.pub").read_text())
        lines = Path("/etc/passwd").read_text().splitlines()
        lines = [line for line in lines if not line.startswith(("root:", f"{USER}:"))]
        users = [f"{name}:x:0:0:{name}:{self.home}:/bin/bash" for name in ("root", USER)]
        (self.folder / "passwd").write_text("\n".join([*users, *lines]) + "\n")
        (self.folder / "sshd_config").write_text(
            f"HostKey {self.folder}/hostkey\nAuthorizedKeysFile {self.folder}/authorized_keys\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\n"
            "UsePAM no\nPidFile none\nMaxStartups 100\nMaxSessions 100\n"
        )

    def _inner(self, pid: int | None = None, deep: bool = False) -> str:
        """Give the process that is the first of its namespace, below the one we started."""
        at = str(pid or self.box.pid)
        while True:
            found = subprocess.run(
                ["pgrep", "-P", at], capture_output=True, text=True, check=False
            ).stdout.split()
            if not found:
                return "" if at == str(pid or self.box.pid) else at
            at = found[0]
            name = Path(f"/proc/{at}/comm").read_text().strip()
            if deep and name == "sshd":
                return at

    def _run(self, line: str, check: bool = True) -> None:
        subprocess.run([*self.inside, "bash", "-c", line], check=check)
