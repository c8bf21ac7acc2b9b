#!/usr/bin/env bash
# Runs claude against the gateway with a configuration of its own: scripts/run_claude.sh [--model NAME] [-- words for claude]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
here=$PWD
make_environment requirements.txt
cd "$here"
PYTHONPATH=$root exec "$PYTHON" -m scripts.llmgate run claude "$@"
