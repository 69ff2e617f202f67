#!/usr/bin/env bash
# Run an MLflow tracking server with login, on PostgreSQL, in the foreground.
#
#   pip install 'mlflow[auth]' 'psycopg[binary]'
#   cluster/mlflow.sh             run it here
#   cluster/mlflow.sh unit        print a systemd unit that does
#
# Edit three things, here or in the environment:
: "${MLFLOW_DATABASE:=postgresql:///mlflow}"   # 1. an empty database: `createdb mlflow`
: "${MLFLOW_FILES:=$HOME/mlflow-files}"        # 2. where artifacts go: a folder or a bucket
: "${MLFLOW_LISTEN:=127.0.0.1}"                # 3. who may connect: this machine, or its address
: "${MLFLOW_PORT:=5000}"
: "${MLFLOW_NAMES:=}"  # further host names, such as your-server,mlflow: MLflow itself
                       # accepts only localhost and private IP addresses
# The first start creates the user `admin` with a random password, in ~/.mlflow/server; `admin`
# adds more users through MLflow's API or under /signup.
set -euo pipefail
umask 077
secrets=$HOME/.mlflow/server
mkdir -p "$secrets"

if [ "${1:-}" = unit ]; then
    here=$(cd "$(dirname "$0")" && pwd)
    writable=("$HOME")
    case $MLFLOW_FILES in
    *://*) ;;
    *)
        mkdir -p "$MLFLOW_FILES"
        MLFLOW_FILES=$(cd "$MLFLOW_FILES" && pwd)
        writable+=("$MLFLOW_FILES")
        ;;
    esac
    # A unit is readable by everybody, so the settings, which contain a password, have their own file.
    settings=$secrets/settings
    for name in PATH MLFLOW_DATABASE MLFLOW_FILES MLFLOW_LISTEN MLFLOW_PORT MLFLOW_NAMES; do
        printf '%s="%s"\n' "$name" "$(sed 's/["\\`$]/\\&/g' <<< "${!name}")"
    done > "$settings"
    # In a unit, % starts a specifier of systemd.
    sed 's/%/%%/g' <<END
[Unit]
Description=MLflow tracking server
After=network-online.target postgresql.service

[Service]
User=$(id -un)
EnvironmentFile=$settings
ExecStart="$here/mlflow.sh"
Restart=on-failure
RestartSec=5
NoNewPrivileges=true
ProtectSystem=strict
ReadWritePaths=$(printf '"%s" ' "${writable[@]}")
PrivateTmp=true

[Install]
WantedBy=multi-user.target
END
    exit
fi

for name in password key; do
    [ -s "$secrets/$name" ] ||
        python -c 'import secrets; print(secrets.token_urlsafe(24))' > "$secrets/$name"
done
cat > "$secrets/basic_auth.ini" <<END
[mlflow]
default_permission = READ
database_uri = ${MLFLOW_DATABASE//%/%%}
admin_username = admin
END
# In the environment, no secret shows in the list of processes.
export MLFLOW_AUTH_CONFIG_PATH=$secrets/basic_auth.ini
export MLFLOW_BACKEND_STORE_URI=$MLFLOW_DATABASE
MLFLOW_AUTH_ADMIN_PASSWORD=$(cat "$secrets/password")
MLFLOW_FLASK_SERVER_SECRET_KEY=$(cat "$secrets/key")
export MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false  # a dozen idle processes
if [ -n "$MLFLOW_NAMES" ]; then
    MLFLOW_SERVER_ALLOWED_HOSTS=$(python -c '
import sys
from mlflow.server.security_utils import get_default_allowed_hosts
names = [name.strip() for name in sys.argv[1].split(",")]
print(",".join([*get_default_allowed_hosts(), *names, *(f"{name}:*" for name in names)]))
' "$MLFLOW_NAMES")
    export MLFLOW_SERVER_ALLOWED_HOSTS
fi
words=(--host "$MLFLOW_LISTEN" --port "$MLFLOW_PORT")
if [ "$MLFLOW_LISTEN" != 127.0.0.1 ]; then
    echo "port $MLFLOW_PORT of $MLFLOW_LISTEN asks for a login over plain HTTP:" \
        "let a firewall admit only the cluster, or put a TLS proxy in front" >&2
fi
exec python -m mlflow server --app-name basic-auth --artifacts-destination "$MLFLOW_FILES" "${words[@]}"
