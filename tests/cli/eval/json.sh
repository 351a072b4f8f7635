# The keys that programs rely on, and numbers that a count by hand confirms.
make npy pool.npy rows=300 width=8 names=1
make ids pool.ids.txt rows=300 names=1
make labels labels.csv rows=300 every=3 names=1
make labels all.csv rows=300 names=1
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
sluice eval pool.npy --head head.safetensors --labels all.csv --json >eval.json
grep -o '^  "[a-z_0-9]*"' eval.json
grep -E '^  "(n|train_overlap)"' eval.json
sluice eval pool.npy --head head.safetensors --labels all.csv --confusion | sed -n '/^class/,$p' | awk '{ print NF }'
# Accuracy counted from the picks: all rows with their prediction.
sluice select pool.npy --head head.safetensors --strategy random -k 300 --quiet --same-ids >picks.csv
sluice score pool.npy --head head.safetensors --score prediction --out prediction.npy --quiet
correct=$(grep '"correct"' eval.json | head -n 1 | tr -dc 0-9)
tail -c +129 prediction.npy | od -An -v -t f4 -w4 | awk '{ print "kind " $1 }' >predicted
sed 1d all.csv | cut -d, -f2 | paste -d, - predicted | awk -F, '$1 == $2' | wc -l | awk -v c="$correct" '{ print ($1 == c ? "same count" : "WRONG: " $1 " not " c) }'
