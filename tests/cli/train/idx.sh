# Images and labels as idx files, plain and compressed, as they come with MNIST and its kin.
make idx images-idx3-ubyte rows=240 shape=8x8x1 classes=4 noise=0.5
make labels labels-idx1-ubyte rows=240 classes=4 form=idx
gzip -k images-idx3-ubyte labels-idx1-ubyte
layers=conv3:8,relu,pool2,conv3:8,relu,gap,linear
train() { "$SLUICE" train "$1" --labels "$2" --layers $layers --epochs 40 --rate 0.01 --quiet --out "$3"; }
train images-idx3-ubyte labels-idx1-ubyte plain.safetensors
train images-idx3-ubyte.gz labels-idx1-ubyte.gz packed.safetensors
sluice info images-idx3-ubyte.gz | grep -E '^(rows|row_shape|type)'
for head in plain packed; do
    sluice eval images-idx3-ubyte.gz --labels labels-idx1-ubyte --head $head.safetensors --json >$head.json
done
identical plain.json packed.json
awk '/"accuracy"/ { print ($2 + 0 > 0.9 ? "learned" : "WRONG: accuracy " $2) }' plain.json
