"""The shipped cluster files pass Ray's own validation and the checks that it lacks."""

from __future__ import annotations

import copy
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import cli
from cluster.launch import launcher
from tests.support.cluster_files import FILES, read_config, write_stub
from tests.support.paths import ROOT

CLUSTERS = ("gpu.yaml", "gcp.yaml", "local.yaml")
SHIPPED = (*CLUSTERS, "slurm.sh", "kuberay.yaml", "mlflow.sh")
CLOUDS = ("gpu.yaml", "gcp.yaml")

# What Ray's schema does not check: fields of a provider, and of Google's machines.
PROVIDERS = {
    "aws": {"type", "region", "cache_stopped_nodes", "security_group"},
    "gcp": {"type", "project_id", "region", "availability_zone"},
    "local": {"type", "head_ip", "worker_ips"},
}
GOOGLE = {
    "": {"machineType", "disks", "serviceAccounts", "scheduling"},
    "disks": {"boot", "autoDelete", "type", "initializeParams"},
    "initializeParams": {"diskSizeGb", "sourceImage"},
    "serviceAccounts": {"email", "scopes"},
    "scheduling": {"provisioningModel", "instanceTerminationAction", "onHostMaintenance"},
}


def validate(config: dict[str, Any]) -> None:
    """Raise an error for a file that Ray, the cloud's own description or we reject."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(copy.deepcopy(config)))
    kind = config["provider"]["type"]
    unknown = config["provider"].keys() - PROVIDERS[kind]
    assert not unknown, f"provider: {unknown}"
    for name, node in config.get("available_node_types", {}).items():
        machine = node["node_config"]
        problems = list(google(machine) if kind == "gcp" else amazon(machine))
        assert not problems, f"{name}: {problems}"


def amazon(machine: dict[str, Any]) -> Iterator[str]:
    """Check what is sent to RunInstances by botocore's description of it, without a network."""
    loaders = pytest.importorskip("botocore.loaders")
    from botocore.model import ServiceModel
    from botocore.validate import ParamValidator

    model = ServiceModel(loaders.Loader().load_service_model("ec2", "service-2"))
    shape = model.operation_model("RunInstances").input_shape
    report = ParamValidator().validate({**machine, "MinCount": 1, "MaxCount": 1}, shape)
    if report.has_errors():
        yield report.generate_report()
    if machine.get("InstanceMarketOptions", {}).get("MarketType", "spot") != "spot":
        yield "an unknown market"


def google(machine: Any, at: str = "") -> Iterator[str]:
    """Check the names in a machine of Google's."""
    if isinstance(machine, list):
        for part in machine:
            yield from google(part, at)
    elif isinstance(machine, dict):
        yield from (f"{at} {name}" for name in machine.keys() - GOOGLE[at])
        for name, part in machine.items():
            yield from google(part, name if name in GOOGLE else at) if name in GOOGLE else ()


@pytest.mark.parametrize("name", CLUSTERS)
def test_ray_and_the_cloud_accept_the_file(name: str) -> None:
    validate(read_config(name))


@pytest.mark.parametrize(
    ("name", "path", "typo"),
    [
        ("gpu.yaml", ("max_worker",), 3),
        ("gpu.yaml", ("provider", "use_internal_ip"), True),
        ("gpu.yaml", ("available_node_types", "spot", "priorities"), 1),
        ("gpu.yaml", ("available_node_types", "spot", "resources", "GPU"), 0.5),
        ("gpu.yaml", ("available_node_types", "spot", "node_config", "InstanceMarket"), {}),
        ("gpu.yaml", ("available_node_types", "head", "node_config", "MetadataOptions", "x"), 1),
        ("gpu.yaml", ("available_node_types", "spot", "node_config", "InstanceType"), 5),
        ("gcp.yaml", ("available_node_types", "spot", "node_config", "machine_type"), "n1"),
        ("gcp.yaml", ("available_node_types", "head", "node_config", "disks"), [{"size": 1}]),
        ("local.yaml", ("provider", "workers_ips"), []),
    ],
)
def test_a_typo_is_rejected(name: str, path: tuple[str, ...], typo: object) -> None:
    config = copy.deepcopy(read_config(name))
    inner = config
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = typo
    with pytest.raises(Exception, match=r"."):
        validate(config)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_starts_with_the_three_things_to_edit(name: str) -> None:
    lines = (FILES / name).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if "dit three things" in line)
    assert start < 18
    assert set(re.findall(r"\b([123])\.\s", "\n".join(lines[start:]))) == {"1", "2", "3"}


@pytest.mark.parametrize("name", CLUSTERS)
def test_ray_needs_a_token_and_the_dashboard_is_local(name: str) -> None:
    config = read_config(name)
    head, worker = config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]
    for command in (head, worker):
        assert "RAY_AUTH_MODE=token ray start" in command
    assert "--dashboard-host=127.0.0.1" in head
    assert config["file_mounts"]["~/.ray"] == "~/.ray"
    assert config["setup_commands"][-1] == "bash ~/tunery/cluster/setup.sh"
    assert "RAY_AUTH_MODE=token" in (FILES / "setup.sh").read_text()
    for shipped in SHIPPED:
        text = (FILES / shipped).read_text()
        assert "0.0.0.0" not in text
        assert "RAY_AUTH_MODE=disabled" not in text


@pytest.mark.parametrize("name", CLUSTERS)
def test_everything_that_is_installed_is_mounted(name: str) -> None:
    config = read_config(name)
    for there, here in config["file_mounts"].items():
        if there.startswith("~/tunery"):
            assert there == f"~/{launcher.CHECKOUT}/{here}"
            assert (ROOT / here).exists()
    mounted = set(config["file_mounts"].values())
    assert {"cluster", "reports", "searchspaces", "trainables", "pyproject.toml"} <= mounted
    assert mounted >= {"README.md", "LICENSE"}  # named in pyproject.toml


@pytest.mark.parametrize("name", CLOUDS)
def test_trials_run_on_spot_machines_first_and_never_on_the_head(name: str) -> None:
    config = read_config(name)
    kinds = config["available_node_types"]
    assert kinds["head"]["resources"] == {"CPU": 0}
    assert kinds["spot"]["priority"] > kinds["on_demand"]["priority"]
    assert all(kinds[kind].get("min_workers", 0) == 0 for kind in kinds)
    spot, other = kinds["spot"]["node_config"], kinds["on_demand"]["node_config"]
    market = {"gpu.yaml": "InstanceMarketOptions", "gcp.yaml": "scheduling"}[name]
    assert spot.pop(market) != other.pop(market, None)
    assert spot == other


def test_the_variants_share_mounts_and_setup() -> None:
    files = {name: read_config(name) for name in CLUSTERS}
    for key in ("file_mounts", "rsync_exclude"):
        assert len({str(config[key]) for config in files.values()}) == 1
    installed = {config["setup_commands"][-1] for config in files.values()}
    assert len(installed) == 1
    assert files["gpu.yaml"]["setup_commands"][1:] == files["gcp.yaml"]["setup_commands"][1:]


def find_searches(name: str) -> Iterator[list[str]]:
    """Yield the arguments of every search in a file's comments."""
    text = (FILES / name).read_text().replace("\\\n", " ")
    for found in re.findall(
        r"(?:python -m trainables\.tune|slurm\.sh) (--space [^#\n\"(]+)", text
    ):
        yield shlex.split(found)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "mlflow.sh"])
def test_the_searches_in_the_files_can_be_parsed(name: str) -> None:
    found = list(find_searches(name))
    assert found
    for words in found:
        options = cli.build_parser().parse_args(words)
        assert options.space in ("svhn_150k", "digits")
        assert options.cluster is None or (ROOT / options.cluster).exists()


def test_kuberay_has_a_job_with_a_token_whose_trials_wait_for_workers() -> None:
    job_, policy = yaml.safe_load_all((FILES / "kuberay.yaml").read_text())
    assert (job_["apiVersion"], job_["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job_["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert job_["spec"]["shutdownAfterJobFinishes"]
    import ray

    assert cluster["rayVersion"] == ray.__version__
    head, worker = cluster["headGroupSpec"], cluster["workerGroupSpecs"][0]
    assert head["rayStartParams"] == {"num-cpus": "0"}
    limits = worker["template"]["spec"]["containers"][0]["resources"]["limits"]
    env = head["template"]["spec"]["containers"][0]["env"]
    capacity = next(entry["value"] for entry in env if entry["name"] == "TUNERY_CAPACITY")
    most = worker["maxReplicas"]
    assert (
        capacity == f"CPU={int(limits['cpu']) * most},GPU={int(limits['nvidia.com/gpu']) * most}"
    )
    labels = {"app": "tunery"}
    assert policy["spec"]["podSelector"]["matchLabels"] == labels
    assert all(g["template"]["metadata"]["labels"] == labels for g in (head, worker))


@pytest.mark.parametrize("array", [None, "3"])
def test_slurm_starts_one_ray_for_all_nodes(tmp_path: Path, array: str | None) -> None:
    shell = (FILES / "slurm.sh").read_text()
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "activate").touch()
    shell = shell.replace("$HOME/tunery/.venv", str(tmp_path / "venv"))
    write_stub(
        tmp_path, "srun", 'echo "storage=$TUNERY_STORAGE mode=$RAY_AUTH_MODE"; printf "%s\\n" "$@"'
    )
    write_stub(tmp_path, "scontrol", "echo gpu7; echo gpu8")
    write_stub(tmp_path, "ray", 'echo "a token that must stay secret"')
    done = subprocess.run(
        ["bash", "-s", "--", "--space", "digits", "--set", "a='b c'"],
        input=shell,
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "41",
            "SLURM_JOB_NODELIST": "gpu[7-8]",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_GPUS_ON_NODE": "4",
            "SLURM_CPUS_PER_TASK": "8",
            **({"SLURM_ARRAY_TASK_ID": array} if array else {}),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "token that" not in done.stdout
    where, *words = done.stdout.splitlines()
    assert where == f"storage=/shared/tunery{f'/seed-{array}' if array else ''} mode=token"
    begin, end = words[: words.index("--")], words[words.index("--") + 1 :]
    assert begin[begin.index("--address") + 1] == "gpu7:20041"
    assert begin[begin.index("--min-nodes") + 1] == "2"
    assert begin[begin.index("--num-gpus") + 1] == "4"
    assert end[:3] == ["python", "-m", "trainables.tune"]
    options = cli.build_parser().parse_args(end[3:])
    assert (options.space, options.address, options.resume_mode) == ("digits", "auto", "resume")
    assert options.set == ["a='b c'"]
    assert options.seed == (int(array) if array else None)


def test_slurm_reads_every_option_of_the_script() -> None:
    lines = (FILES / "slurm.sh").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    options = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert len(options) == 2
    assert max(options) < first  # sbatch stops reading at the first command


@pytest.mark.parametrize("name", ["slurm.sh", "mlflow.sh"])
def test_scripts_are_valid_bash(name: str) -> None:
    subprocess.run(["bash", "-n", str(FILES / name)], check=True)
    assert os.access(FILES / name, os.X_OK)
