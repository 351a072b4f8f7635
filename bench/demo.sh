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
    --strategy random,margin,entropy --start-per-class 10 --batch 100 --rounds 9 --seeds 3 \
    --layers conv5:16/2,relu,pool2,drop:0.3,linear --out "$out" --force
echo "sluice $*"
"$sluice" "$@"
echo "curve: $out/curve.csv"
