#!/usr/bin/env bash
# Make (or bring up to date) benchmarks/.peers, the environment the peers of the speed benchmark run in.
# Safe to run again: an environment that already satisfies peers.txt is left as it is.
# PYTHON picks the interpreter (a version or a path), e.g. PYTHON=3.12 benchmarks/make_peers.sh
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
env="$here/.peers"
python="$env/bin/python"

command -v uv >/dev/null || { echo "make_peers.sh: uv is needed, and is not on PATH" >&2; exit 1; }

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
    uv venv --quiet --no-project --clear --python "${PYTHON:->=3.11,<3.14}" "$env"
fi
uv pip install --python "$python" --requirements "$here/peers.txt"
uv pip check --python "$python"

"$python" - <<'PY'
"""Print what resolved."""
import sys
from importlib.metadata import version

print("python", sys.version.split()[0])
for name in ("torch", "torchvision", "keras", "tensorflow-cpu", "jax", "jaxlib", "lightning", "fastai", "numpy"):
    print(name, version(name))
PY
