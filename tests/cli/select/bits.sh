# The same picks, byte for byte, however the work is done: threads, tiers, memory, shards, formats.
make npy pool.npy rows=20000 width=32
make labels labels.csv rows=20000 every=200
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
for strategy in margin entropy power-margin; do
    pick() { "$SLUICE" select "$@" --head head.safetensors --strategy $strategy -k 500 --seed 3 --labels labels.csv --quiet; }
    rm -f ./*.csv.got
    pick pool.npy >want.csv
    pick pool.npy --threads 1 >threads-1.csv.got
    pick pool.npy --threads 2 >threads-2.csv.got
    pick pool.npy --mem-mib 1 >mem-1.csv.got
    pick pool.npy --mem-mib 64 >mem-64.csv.got
    pick pool.npy --mem-mib 4096 --threads 2 >mem-4096.csv.got
    for tier in $(tiers); do SLUICE_CPU=$tier pick pool.npy >"$tier.csv.got"; done
    identical want.csv ./*.csv.got
    # The shard column names the file, so formats and shards are compared without it.
    cut -d, -f1,2,4- want.csv >want.cut
    make safetensors pool.safetensors rows=20000 width=32
    make fbin pool.fbin rows=20000 width=32
    make fvecs pool.fvecs rows=20000 width=32
    make npy half.npy rows=20000 width=32 type=f16
    make safetensors half.safetensors rows=20000 width=32 type=f16
    make npy double.npy rows=20000 width=32 type=f64
    for file in pool.safetensors pool.fbin pool.fvecs half.npy half.safetensors double.npy; do
        pick $file --same-ids | cut -d, -f1,2,4- >"$file.cut"
        identical want.cut "$file.cut"
    done
    first=0 files=()
    for rows in 1 6999 17 4000 0 8000 983; do
        make npy "shard$first-$rows.npy" rows=$rows first=$first width=32
        first=$((first + rows)) files+=("shard$((first - rows))-$rows.npy")
    done
    pick "${files[@]}" --mem-mib 1 | cut -d, -f1,2,4- >shards.cut
    identical want.cut shards.cut
    wc -l <want.csv
done
head -n 1 want.csv
# i8 rows with their scales have bits of their own, the same everywhere.
sluice convert pool.npy --to npy --type i8 --out small.npy --quiet
pick small.npy >small.csv
for tier in $(tiers); do
    SLUICE_CPU=$tier pick small.npy --threads 2 --mem-mib 1 >"small-$tier.csv"
    identical small.csv "small-$tier.csv"
done
