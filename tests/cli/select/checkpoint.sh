# A checkpoint belongs to one run: of another pool, head, strategy, seed or version it is refused by name, and so is a damaged
# one; --fresh starts over.  What is finished is done, and its checkpoint goes.
make npy pool.npy rows=60000 width=16
make npy other.npy rows=60000 width=16 seed=9
make labels labels.csv rows=60000 every=600
make labels more.csv rows=60000 every=500
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
sluice train pool.npy --labels more.csv --out other.safetensors --quiet
s() { sluice select pool.npy --head head.safetensors --mem-mib 1 --checkpoint ck "$@"; }
# killed COMMAND...: kills it once it has kept something; again where it was too fast.
killed() {
    local state=$1 pid
    shift
    for _ in {1..50}; do
        rm -rf "${state%/*}"
        "$@" --checkpoint-s 0.001 --force >/dev/null 2>&1 &
        pid=$!
        while kill -0 $pid && [ ! -e "$state" ]; do sleep 0.001; done
        kill -9 $pid
        wait $pid
        find . -name '*.tmp.*' -delete
        [ ! -e "$state" ] || return 0
    done 2>/dev/null
    echo "WRONG: never killed on the way"
}
masked() { sed -E 's/knows [0-9]+/knows N/; s/"[0-9a-f]{16}"/"HASH"/g; s/[0-9]+ bytes were/N bytes were/; s/[0-9.]+ seconds/S seconds/'; }
f() { fails 65 select "$@" --mem-mib 1 --checkpoint ck --out picks.csv | masked; }
s --strategy margin -k 30 --out whole.csv --quiet
killed ck/picks.csv.state "$SLUICE" select pool.npy --head head.safetensors --mem-mib 1 --checkpoint ck --strategy margin -k 30 --out picks.csv
rm -f picks.csv picks.manifest.json
cp -r ck kept
f other.npy --head head.safetensors --strategy margin -k 30
f pool.npy --head other.safetensors --strategy margin -k 30
f pool.npy --head head.safetensors --strategy entropy -k 30
f pool.npy --head head.safetensors --strategy margin -k 31
f pool.npy --head head.safetensors --strategy margin -k 30 --seed 1
f pool.npy --head head.safetensors --strategy margin -k 30 --shard 0/2
f pool.npy --head head.safetensors --strategy margin -k 30 --balance
# A changed byte; half a file; something else.
sed -i 's/"sluice":"0/"sluice":"7/' ck/picks.csv.state
f pool.npy --head head.safetensors --strategy margin -k 30
head -c 800 kept/picks.csv.state >ck/picks.csv.state
f pool.npy --head head.safetensors --strategy margin -k 30
cp pool.npy ck/picks.csv.state
f pool.npy --head head.safetensors --strategy margin -k 30
s --strategy margin -k 30 --out picks.csv --fresh 2>&1 | masked
identical whole.csv picks.csv
# Moved and touched, under other names of folders, the pool is the same.
cp -r kept ck
rm picks.csv picks.manifest.json
mkdir elsewhere && mv pool.npy elsewhere/ && touch elsewhere/pool.npy
(sluice select elsewhere/pool.npy --head head.safetensors --mem-mib 1 --checkpoint ck --strategy margin -k 30 --out picks.csv --threads 2) 2>&1 | masked
identical whole.csv picks.csv
mv elsewhere/pool.npy .
[ ! -e ck ] || echo "WRONG: the checkpoint is still there"
# Finished: nothing is scanned, and a checkpoint of the same run goes, of another stays.  A dry run removes nothing.
cp -r kept ck
s --strategy margin -k 30 --out picks.csv --dry-run >/dev/null 2>&1
diff -r kept ck || echo "WRONG: a dry run touched the checkpoint"
s --strategy margin -k 30 --out picks.csv; echo "exit $?"
[ ! -e ck ] || echo "WRONG: the checkpoint is still there"
cp -r kept ck && mv ck/picks.csv.state ck/entropy.csv.state
s --strategy entropy -k 30 --out entropy.csv --fresh --quiet
cp -r kept ck && mv ck/picks.csv.state ck/entropy.csv.state
s --strategy entropy -k 30 --out entropy.csv; echo "exit $?"
ls ck && rm -r ck
# Scores go on in the rows that were written; without them they do not.
sluice score pool.npy --head head.safetensors --score margin,logits --out whole-scores.npy --quiet
killed scores.npy.ckpt/scores.npy.state "$SLUICE" score pool.npy --head head.safetensors --score margin,logits --mem-mib 1 --out scores.npy
rm -f scores.npy scores.manifest.json
cp -r scores.npy.ckpt kept-scores
rm scores.npy.ckpt/scores.npy.rows
fails 65 score pool.npy --head head.safetensors --score margin,logits --out scores.npy | masked
rm -r scores.npy.ckpt && cp -r kept-scores scores.npy.ckpt
sluice score pool.npy --head head.safetensors --score margin,logits --out scores.npy --dry-run --fresh >/dev/null
diff -r kept-scores scores.npy.ckpt || echo "WRONG: a dry run touched the checkpoint"
fails 65 score pool.npy --head head.safetensors --score margin --out scores.npy | masked
sluice score pool.npy --head head.safetensors --score margin,logits --out scores.npy --threads 2 2>&1 | masked
identical whole-scores.npy scores.npy
ls
# A checkpoint that cannot be written is a warning while nobody asks for it.
touch blocked
s --strategy margin -k 30 --out late.csv --checkpoint blocked/ck --checkpoint-s 0.001 2>&1 | masked | sort -u
identical whole.csv late.csv
