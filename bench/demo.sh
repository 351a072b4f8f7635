#!/bin/sh
# demo.sh SLUICE - active learning on Fashion-MNIST: 60,000 images are the pool, 10,000 the test set.  A small CNN on the pixels
# (they stand in for a backbone's feature map) is retrained each round; margin and entropy are compared with random picks.
set -eu
sluice=$1
data=/usr/share/datasets/fashion-mnist
out=build/demo
[ -f "$data/train-images-idx3-ubyte.gz" ] || { echo "demo: no Fashion-MNIST in $data (Debian package dataset-fashion-mnist)" >&2; exit 66; }
set -- simulate "$data/train-images-idx3-ubyte.gz" --labels "$data/train-labels-idx1-ubyte.gz" \
    --test "$data/t10k-images-idx3-ubyte.gz" --test-labels "$data/t10k-labels-idx1-ubyte.gz" \
    --strategy random,margin,entropy --start-per-class 5 --batch 50 --rounds 5 --seeds 3 \
    --layers conv3:8,relu,pool2,conv3:16,relu,pool2,linear --out "$out" --force
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"     # idle threads that spin slow a busy machine down tenfold
echo "sluice $*"
"$sluice" "$@"
echo "curve: $out/curve.csv"
