#!/usr/bin/env bash
# Install Tunery on a node of a `ray up` cluster: run by the setup_commands of the cluster files.
set -euo pipefail
echo 'export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 PATH=~/venv/bin:$PATH' >> ~/.tunery.sh
grep -qs tunery.sh ~/.bashrc || echo '. ~/.tunery.sh' >> ~/.bashrc
if [ ! -x ~/venv/bin/pip ] && ! python3 -m venv ~/venv; then
    sudo apt-get -qq -o DPkg::Lock::Timeout=300 update
    sudo apt-get -qq -o DPkg::Lock::Timeout=300 install -y python3-venv
    python3 -m venv ~/venv
fi
~/venv/bin/pip install -q -e ~/tunery'[cluster,rl,text]'
