#!/bin/sh
# Installs the package and the frameworks that its tests are of into an environment of its own, some
# 5 GB on the disk, and runs the tests. Arguments go to pytest. `python` is what PYTHON says.
set -eu
cd "$(dirname "$0")"
environment=target/environment
[ -x "$environment/bin/python" ] || "${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet ".[test]"
exec "$environment/bin/python" -m pytest -p no:cacheprovider --rootdir=. tests "$@"
