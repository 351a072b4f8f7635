# A selection in parts gives the bytes of one process: picks, and the manifest but for times; whatever modifies the picks.
make npy pool.npy rows=9000 width=8 nan=7,4000,8999
make labels labels.csv rows=9000 every=300
make groups groups.csv rows=9000 every=20
make ids names.txt rows=9000
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
printf '3\n77\n4001\n' >some.txt
untimed() { find "$1" -name '*manifest.json' -exec sed '/"run": {/,/^  }/d' {} +; }
# parts N OPTIONS...: one process in whole, N parts merged in merged, in another order than they were made.
parts() {
    local n=$1 i
    shift
    sluice select pool.npy --head head.safetensors --quiet --out "$out" "$@" && mkdir whole && mv p* ./whole/ 2>/dev/null
    mv whole/pool.npy .
    for ((i = 0; i < n; i++)); do
        sluice select pool.npy --head head.safetensors --quiet --shard "$i/$n" --out part-$i.s --threads $((1 + i % 2)) "$@" || echo "WRONG: part $i"
    done
    mkdir merged
    # shellcheck disable=SC2046
    (sluice merge pool.npy $(printf 'part-%s.s\n' $(seq $((n - 1)) -1 0)) --out "$out" --quiet) && mv "$out" merged/
    [ ! -e picks.manifest.json ] || mv picks.manifest.json merged/
    [ "$(find . -name '*.ckpt')" = "" ] || echo "WRONG: a checkpoint was left"
    for f in whole/"$out" $(cd whole && find . -name '*.csv'); do [ -d "$f" ] || identical whole/"${f#whole/}" merged/"${f#whole/}"; done
    cmp <(untimed whole) <(untimed merged) || echo "WRONG: manifests differ: $*"
    echo "$n parts, $(cat whole/"$out" whole/*/*.csv 2>/dev/null | wc -l) lines: $*"
    rm -r whole merged part-*.s
}
out=picks.csv
parts 5 --strategy margin -k 50
parts 1 --strategy entropy -k 50 --seed 3
parts 50 --strategy power-entropy -k 7
parts 3 --strategy random -k 20
parts 3 --strategy kcenter -k 20
parts 4 --strategy margin-kmeans -k 20 --labels labels.csv
parts 4 --strategy badge -k 10 --labels labels.csv
parts 3 --strategy outlier-knn -k 20 --labels labels.csv
parts 3 --strategy bald -k 20
parts 3 --strategy similarity -k 20 --like some.txt
parts 4 --strategy margin -k 40 --group groups.csv --per-group 2
parts 4 --strategy margin -k 40 --balance
parts 4 --strategy margin -k 40 --balance --group groups.csv
parts 4 --strategy margin-kmeans -k 20 --balance --group groups.csv
parts 4 --mix margin:7,random:2,entropy:1 -k 30 --exclude some.txt
parts 4 --mix margin:7,power-entropy:3 -k 30 --dedupe 0.3 --labels labels.csv
parts 4 --strategy margin -k 30 --dedupe 0.3
parts 2 --strategy margin -k 0
parts 2 --strategy margin -k 30 --ids names.txt
parts 2 --strategy margin -k 20000
out=picks
parts 4 --strategy margin,random,margin-kmeans,power-energy:beta=2 -k 30
# Logits of any program instead of a head, and no pool of features at all.
sluice score pool.npy --head head.safetensors --score logits --out logits.npy --quiet
for i in 0 1 2; do sluice select --logits logits.npy --strategy margin -k 30 --shard $i/3 --out part-$i.s --quiet; done
sluice merge logits.npy part-*.s --quiet >merged.csv
sluice select --logits logits.npy --strategy margin -k 30 --quiet | cmp - merged.csv
