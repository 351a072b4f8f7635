# All columns in one read; the same order from logits as from the head (ratio, as logits know no temperature); a
# finished job runs again.
make npy pool.npy rows=500 width=8
make labels labels.csv rows=500 every=5
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
sluice score pool.npy --head head.safetensors --score entropy,margin,ratio,least-confidence,energy,prediction,confidence --out all.npy
head -c 128 all.npy | tail -c +11 | grep -o "'descr'.*}"
sluice score pool.npy --head head.safetensors --score margin --out margin.npy --quiet
od -An -v -t x4 -w28 -j 128 all.npy | awk '{ print $2 }' >from-all
od -An -v -t x4 -w4 -j 128 margin.npy | awk '{ print $1 }' >alone
identical alone from-all
sluice score pool.npy --head head.safetensors --score logits --out logits.npy --quiet
sluice select pool.npy --head head.safetensors --strategy ratio -k 20 --quiet --labels labels.csv | cut -d, -f1,2,4 >from-head.csv
sluice select --logits logits.npy --strategy ratio -k 20 --quiet --labels labels.csv | cut -d, -f1,2,4 >from-logits.csv
identical from-head.csv from-logits.csv
for tier in $(tiers); do
    SLUICE_CPU=$tier "$SLUICE" score pool.npy --head head.safetensors --score entropy,margin,ratio,least-confidence,energy,prediction,confidence --out "$tier.npy" --quiet --threads 1 --mem-mib 1
    identical all.npy "$tier.npy"
done
cksum all.npy >before
sluice score pool.npy --head head.safetensors --score entropy,margin,ratio,least-confidence,energy,prediction,confidence --out all.npy --quiet && cksum all.npy | cmp - before
fails 73 score pool.npy --head head.safetensors --score entropy --out all.npy --quiet
sluice score pool.npy --head head.safetensors --score entropy --out all.npy --quiet --force && cksum all.npy | cmp -s - before && echo "WRONG: --force changed nothing"
sluice score pool.npy --score random --out random.npy
