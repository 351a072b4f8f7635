#!/bin/sh
# setup.sh - a virtual environment of its own, build/peers, with the libraries that sluice is compared with.
set -eu
cd "$(dirname "$0")/../.."
[ -x build/peers/bin/python ] || python3 -m venv build/peers
build/peers/bin/pip install -q torch==2.15.0 numpy==2.4.6 scikit-learn==1.9.1 faiss-cpu==1.15.1
build/peers/bin/python -c 'import faiss, sklearn, torch; print("torch", torch.__version__, "scikit-learn", sklearn.__version__, "faiss", faiss.__version__)'
