# Layer lines on images [n, h, w, c]: stripes whose direction is the class, which only a convolution can tell.
make npy images.npy rows=240 shape=8x8x1 classes=4 noise=0.5
make labels labels.csv rows=240 classes=4 form=int
make npy test.npy rows=100 first=1000 shape=8x8x1 classes=4 noise=0.5
make labels test.csv rows=100 classes=4 form=int
train() { "$SLUICE" train images.npy --labels labels.csv --layers conv3:8,relu,pool2,conv3:8,relu,gap,linear --epochs 60 --rate 0.01 "$@"; }
train --out head.safetensors --threads 2 --quiet --loss-log loss.csv
head -n 1 loss.csv
[ "$(wc -l <loss.csv)" -gt 3 ] || echo "WRONG: the loss log has no epochs"
for tier in $(tiers); do
    SLUICE_CPU=$tier train --out "$tier.safetensors" --threads 1 --quiet
    identical head.safetensors "$tier.safetensors"
done
make labels test.csv rows=100 first=1000 classes=4 form=int
awk -F, 'NR > 1 { print $1 - 1000 "," $2; next } { print }' test.csv >test0.csv
sluice eval test.npy --head head.safetensors --labels test0.csv --json | grep '"accuracy"' | awk '{ print ($2 + 0 > 0.9 ? "learned" : "WRONG: accuracy " $2) }'
sluice select test.npy --head head.safetensors -k 3 --quiet | head -n 1
