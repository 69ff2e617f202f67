"""`cluster/mlflow.sh`: a tracking server with a login, and its systemd unit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster_files import FILES, write_stub

DATABASE = "postgresql://u:p%40s$w`\"'@h/d"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which MLflow only prints how it was started."""
    write_stub(
        tmp_path,
        "python",
        f'case "$1$2" in -c*get_default*) exec {sys.executable} "$@";;\n'
        '-c*) echo hidden;; *) echo "$@"; env;; esac',
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "MLFLOW_DATABASE": DATABASE}


def run_script(settings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FILES / "mlflow.sh", *words], env=settings, capture_output=True, text=True, check=True
    )


def test_the_tracking_server_has_a_login_and_hides_its_secrets(
    settings: dict[str, str], tmp_path: Path
) -> None:
    done = run_script(settings)
    words, *environment = done.stdout.splitlines()
    assert words.startswith("-m mlflow server --app-name basic-auth")
    assert "--host 127.0.0.1 --port 5000" in words
    assert "hidden" not in words
    assert "u:p" not in words
    assert "MLFLOW_AUTH_ADMIN_PASSWORD=hidden" in environment
    assert f"MLFLOW_BACKEND_STORE_URI={DATABASE}" in environment
    assert not done.stderr
    secrets = tmp_path / ".mlflow" / "server"
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}
    assert "database_uri = postgresql://u:p%%40s$w" in (secrets / "basic_auth.ini").read_text()
    assert "10.0.0.5" in run_script({**settings, "MLFLOW_LISTEN": "10.0.0.5"}).stderr


def test_a_unit_has_every_setting_and_no_password(
    settings: dict[str, str], tmp_path: Path
) -> None:
    files = tmp_path / "50% of all"
    settings |= {"MLFLOW_FILES": str(files), "MLFLOW_PORT": "5001", "MLFLOW_NAMES": "mlflow"}
    lines = run_script(settings, "unit").stdout.splitlines()
    assert f'ExecStart="{FILES}/mlflow.sh"' in lines
    assert "p%" not in "".join(lines)
    escaped = str(files).replace("%", "%%")
    assert f'ReadWritePaths="{tmp_path}" "{escaped}"' in map(str.strip, lines)
    assert files.is_dir()
    file = tmp_path / ".mlflow" / "server" / "settings"
    assert f"EnvironmentFile={file}" in lines
    assert file.stat().st_mode & 0o777 == 0o600
    for name, value in settings.items():
        if name != "HOME":
            # What systemd undoes in double quotes, the shell does as well.
            shell = ["bash", "-c", f'. "$1" && printf %s "${name}"', "-", str(file)]
            read = subprocess.run(shell, capture_output=True, text=True, check=True, env={})
            assert read.stdout == value


def test_a_bucket_is_not_a_path_of_a_unit(settings: dict[str, str], tmp_path: Path) -> None:
    unit = run_script({**settings, "MLFLOW_FILES": "s3://b/x"}, "unit").stdout
    assert f'\nReadWritePaths="{tmp_path}" \n' in unit


def test_the_server_allows_its_own_names_and_mlflows_default_hosts(
    settings: dict[str, str],
) -> None:
    from mlflow.server.security_utils import get_default_allowed_hosts, is_allowed_host_header

    def allowed(names: str) -> str:
        lines = run_script({**settings, "MLFLOW_NAMES": names}).stdout.splitlines()
        found = [line for line in lines if line.startswith("MLFLOW_SERVER_ALLOWED_HOSTS=")]
        return "".join(found).partition("=")[2]

    assert allowed("") == ""
    hosts = allowed("your-server, mlflow").split(",")
    assert hosts[: len(get_default_allowed_hosts())] == get_default_allowed_hosts()
    for host in ("your-server:5000", "mlflow:5000", "mlflow", "localhost:5000", "10.0.0.7:5000"):
        assert is_allowed_host_header(hosts, host), host
    assert not is_allowed_host_header(hosts, "elsewhere:5000")
