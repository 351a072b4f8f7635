# --start 0: nothing is labelled at first, round 0 is the first batch.
make npy pool.npy rows=300 width=8
make npy test.npy rows=200 first=1000 width=8
make labels test-labels.npy rows=200 first=1000 form=npy
make labels int.npy rows=300 form=npy
sim() { "$SLUICE" simulate pool.npy --labels int.npy --test test.npy --test-labels test-labels.npy --batch 10 "$@" --quiet; }
sim --strategy margin,kmeans,random,kcenter,entropy --start 0 --rounds 2 --seeds 2 --out sim | labels_column
cut -d, -f1,3,4 sim/curve.csv | sort -u
# Who needs no head picks what select picks, cold; the others get what random picks.
for seed in 0 1; do
    for strategy in random kmeans kcenter; do
        sluice select pool.npy --strategy $strategy -k 10 --seed $seed -o cold.csv --force --quiet
        identical cold.csv sim/picks/$strategy-$seed-0.csv
    done
    identical sim/picks/random-$seed-0.csv sim/picks/margin-$seed-0.csv sim/picks/entropy-$seed-0.csv
    grep "^margin,$seed,0" sim/curve.csv | cut -d, -f3-8 | cmp - <(grep "^entropy,$seed,0" sim/curve.csv | cut -d, -f3-8)
done
cmp -s sim/picks/random-0-0.csv sim/picks/random-1-0.csv && echo "WRONG: two seeds start with the same rows"
cmp -s sim/picks/margin-0-1.csv sim/picks/entropy-0-1.csv && echo "WRONG: heads are not asked in round 1"
# No row twice.
for p in margin kmeans random kcenter entropy; do cat sim/picks/$p-0-?.csv | cut -d, -f2 | grep -v id | sort | uniq -d; done
# Without random among the strategies, and without further rounds.
sim --strategy margin --start 0 --rounds 0 --seeds 1 --out alone | labels_column
identical sim/picks/random-0-0.csv alone/picks/margin-0-0.csv
# As long as all labels are of one class there is no head: the class is the answer to everything, and random picks.
sluice simulate pool.npy --labels int.npy --test test.npy --test-labels test-labels.npy --quiet --start 0 --batch 1 --rounds 6 \
    --seeds 1 --strategy random,margin --out one | labels_column
awk -F, '$1 == "margin" && $8 == 1 { n++; if ($6 != 0) print "WRONG: an nll of " $6; if ($5 > 0.5) print "WRONG: accuracy " $5
             system("cmp one/picks/random-0-" $3 ".csv one/picks/margin-0-" $3 ".csv") }
         END { print (n ? "rounds of one class: judged" : "WRONG: no round of one class") }' one/curve.csv
fails 2 simulate pool.npy --labels int.npy --test test.npy --test-labels test-labels.npy --batch 10 --rounds 1 --out no
fails 2 simulate pool.npy --labels int.npy --test test.npy --test-labels test-labels.npy --batch 10 --rounds 1 --out no --start 0 --start-per-class 1
