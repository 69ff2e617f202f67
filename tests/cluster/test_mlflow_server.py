from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.cluster.test_files import FILES, stub


def test_the_tracking_server_has_a_login_and_hides_its_secrets(tmp_path: Path) -> None:
    stub(tmp_path, "python", 'case "$1" in -c) echo hidden;; *) echo "$@"; env;; esac')
    path = f"{tmp_path}:{os.environ['PATH']}"
    settings = {"PATH": path, "HOME": str(tmp_path), "MLFLOW_DATABASE": "postgresql://u:p%40@h/d"}
    done = subprocess.run(
        [FILES / "mlflow.sh"], env=settings, capture_output=True, text=True, check=True
    )
    words, *environment = done.stdout.splitlines()
    assert words.startswith("-m mlflow server --app-name basic-auth")
    assert "--host 127.0.0.1" in words
    assert "hidden" not in words
    assert "u:p" not in words
    assert "MLFLOW_AUTH_ADMIN_PASSWORD=hidden" in environment
    assert "MLFLOW_BACKEND_STORE_URI=postgresql://u:p%40@h/d" in environment
    assert not done.stderr
    secrets = tmp_path / ".mlflow" / "server"
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}
    assert "database_uri = postgresql://u:p%%40@h/d" in (secrets / "basic_auth.ini").read_text()
    open_ = subprocess.run(
        [FILES / "mlflow.sh"],
        env={**settings, "MLFLOW_LISTEN": "10.0.0.5"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "10.0.0.5" in open_.stderr
    unit = subprocess.run(
        [FILES / "mlflow.sh", "unit"], env=settings, capture_output=True, text=True, check=True
    )
    assert f'ExecStart="{FILES}/mlflow.sh"' in unit.stdout
    assert "hidden" not in unit.stdout
