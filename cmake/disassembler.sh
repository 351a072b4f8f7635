#!/bin/sh
# disassembler.sh - where nvcc is, the disassembler for tests/sass.py from PyPI into build/tools.  Without a network that
# test is skipped.
set -eu
command -v nvcc >/dev/null 2>&1 || [ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ] || exit 0
here=$(cd "$(dirname "$0")" && pwd)
tools=$here/../build/tools
[ ! -e "$tools/complete" ] || exit 0
"$here/deps.sh" python
echo "installing: nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm into build/tools" >&2
if python3 -m venv "$tools" && "$tools/bin/pip" install -q --disable-pip-version-check nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm
then touch "$tools/complete"
else echo "the disassembler cannot be had: the test sass is skipped" >&2
fi
