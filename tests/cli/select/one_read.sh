# Several strategies in one read give what each gives alone; the folder and its manifest; a prefix of the picks.
make npy pool.npy rows=3000 width=8
make labels labels.csv rows=3000 every=30
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
s() { sluice select pool.npy --head head.safetensors --labels labels.csv "$@"; }
s --strategy margin,entropy,random,least-confidence,ratio,energy,power-entropy:beta=2 -k 40 --out picks
ls picks
for one in margin entropy random least-confidence ratio energy; do
    s --strategy $one -k 40 --quiet >alone.csv
    identical alone.csv picks/$one.csv
done
s --strategy margin -k 10 --quiet >ten.csv
head -n 11 picks/margin.csv | cmp - ten.csv
cut -d, -f2 picks/margin.csv | sed 1d | sort >margin.ids
cut -d, -f1 labels.csv | sed 1d | sort >labelled.ids
[ "$(comm -12 margin.ids labelled.ids | wc -l)" = 0 ] || echo "WRONG: labelled rows were picked"
[ "$(uniq -d margin.ids | wc -l)" = 0 ] || echo "WRONG: a row was picked twice"
s --strategy margin,entropy,random,least-confidence,ratio,energy,power-entropy:beta=2 -k 40 --out picks
fails 73 select pool.npy --head head.safetensors --labels labels.csv --strategy margin,entropy -k 7 --out picks
for ending in csv jsonl npy; do s -k 2 --out p.$ending; done
cat p.csv p.jsonl | numbers
ls
