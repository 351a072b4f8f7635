# The whole benchmark on a small data set: files, table, the same numbers again.
make npy pool.npy rows=300 width=8
make labels labels.csv rows=300
make npy test.npy rows=200 first=1000 width=8
make labels test-labels.npy rows=200 first=1000 form=npy
make labels int.npy rows=300 form=npy
sim() { "$SLUICE" simulate pool.npy --labels int.npy --test test.npy --test-labels test-labels.npy --strategy random,margin "$@"; }
sim --start-per-class 2 --batch 10 --rounds 3 --seeds 2 --out sim --quiet >table
head -n 1 table
labels_column <table
identical sim/table.md table
head -n 1 sim/curve.csv
cut -d, -f1-4 sim/curve.csv | sort | uniq -c | awk '$1 != 1' | grep . && echo "WRONG: a line of the curve twice"
ls sim sim/picks
# The line that run.json holds repeats it.
grep -q -- '--start-per-class 2' sim/run.json || echo "WRONG: run.json has no command line"
sim --start-per-class 2 --batch 10 --rounds 3 --seeds 2 --out again --threads 1 --quiet >/dev/null
cut -d, -f1-8 sim/curve.csv | cmp - <(cut -d, -f1-8 again/curve.csv)
diff -r sim/picks again/picks
# All strategies of a seed start from the same rows, and another seed from others.
awk -F, 'NR > 1 && $1 != "full" && $3 == 0 { print $2 "," $5 }' sim/curve.csv | sort -u | wc -l
# A finished one is left as it is; another one is refused.
sim --start-per-class 2 --batch 10 --rounds 3 --seeds 2 --out sim --quiet >/dev/null; echo "exit $?"
fails 73 simulate pool.npy --labels int.npy --test test.npy --test-labels test-labels.npy --start 6 --batch 10 --rounds 1 --out sim
# The heads learn: with all labels the classes, which overlap little, are told apart.
awk -F, '$1 == "full" && $5 < 0.9 { print "WRONG: accuracy " $5 }' sim/curve.csv
