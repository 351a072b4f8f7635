# Killed at several moments and started again: finished rounds stay, and the end is that of a run nobody killed.
make npy pool.npy rows=300 width=8
make npy test.npy rows=200 first=1000 width=8
make labels test-labels.npy rows=200 first=1000 form=npy
make labels int.npy rows=300 form=npy
sim() {
    exec "$SLUICE" simulate pool.npy --labels int.npy --test test.npy --test-labels test-labels.npy \
        --strategy random,margin,kmeans --batch 10 --rounds 3 --seeds 2 --out sim --quiet "$@" >/dev/null
}
rounds() { find sim/rounds -name '*.json' 2>/dev/null | wc -l; }
# killed ROUNDS OPTIONS...: starts a simulation and kills it once it has that many rounds.
killed() {
    local pid wanted=$1
    (sim "${@:2}") &
    pid=$!
    while kill -0 $pid 2>/dev/null && [ "$(rounds)" -lt "$wanted" ]; do sleep 0.002; done
    kill -9 $pid
    wait $pid
} 2>/dev/null
# Files whose names tell of finished rounds, with their inodes: a round that is done again is another file.
finished() { for f in sim/rounds/*.json; do f=$(basename "$f" .json); [ ! -e "sim/picks/$f.csv" ] || ls -i "sim/picks/$f.csv"; done; }
page() { sed '/^<tr><td>\(choosing\|training\|judging\)</d; s/ --force//' "$1/report.html"; }
# same WHOLE: sim holds what the folder WHOLE does, but for seconds.
same() {
    diff -r $1/picks sim/picks
    for f in classes.csv table.md table.tex summary.json; do identical $1/$f sim/$f; done
    cmp <(cut -d, -f1-8 $1/curve.csv) <(cut -d, -f1-8 sim/curve.csv)
    cmp <(page $1) <(page sim)
    [ ! -e sim/rounds ] || echo "WRONG: rounds are left"
    find sim -name '*.tmp.*'
}
stopped=0
for start in "--start-per-class 2" "--start 0"; do
    (sim $start) && mv sim whole
    for at in 0 1 2 5 11; do
        killed $at $start
        finished >before
        [ -e sim/summary.json ] || stopped=$((stopped + (at > 0)))
        [ ! -d sim/picks ] || touch sim/picks/margin-0-1.csv.tmp.1 # it may be killed before it has a folder
        (sim $start)
        while read -r inode file; do [ "$(stat -c %i "$file")" = "$inode" ] || echo "WRONG: $file was made again"; done <before
        same whole
        rm -r sim
    done
    # Killed three times on the way.
    for at in 2 6 13; do killed $at $start; done
    (sim $start)
    same whole
    rm -r sim whole
done
[ $stopped -ge 4 ] || echo "WRONG: only $stopped runs were killed on the way"
# Other inputs: refused, also over an unfinished run; --force starts anew.
killed 4 --start 6
(sim --start 7)
echo "exit $?"
(sim --start 7 --force) && mv sim forced
(sim --start 7)
same forced
rm -r sim
# A round that is not one is named.
killed 4 --start 7
echo '{"labels": 16' >sim/rounds/random-0-1.json
(sim --start 7)
echo "exit $?"
