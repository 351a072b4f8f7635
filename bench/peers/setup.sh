#!/bin/sh
# setup.sh - a virtual environment of its own, build/peers, with the libraries that sluice is compared with.
set -eu
cd "$(dirname "$0")/../.."
[ -x build/peers/bin/python ] || python3 -m venv build/peers
build/peers/bin/pip install -q torch numpy scikit-learn
build/peers/bin/python -c 'import torch, sklearn; print("torch", torch.__version__, "scikit-learn", sklearn.__version__)'
