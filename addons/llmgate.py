"""The addon for `mitmdump -s addons/llmgate.py`: the parts in order, no logic."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from addons.assemble import assemble

addons = assemble()
