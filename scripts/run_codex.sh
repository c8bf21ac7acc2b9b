#!/usr/bin/env bash
# Runs codex against the gateway with a configuration of its own: scripts/run_codex.sh [--model NAME] [-- words for codex]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
here=$PWD
make_environment requirements.txt
cd "$here"
PYTHONPATH=$root exec "$PYTHON" -m scripts.llmgate run codex "$@"
