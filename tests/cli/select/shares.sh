# --mix, --group, --balance, --exclude and lists of ids.
make npy pool.npy rows=2000 width=8
make labels labels.csv rows=2000 every=50
make groups groups.csv rows=2000 every=20
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
s() { sluice select pool.npy --head head.safetensors --labels labels.csv --quiet "$@"; }
s --mix margin:70,random:20,entropy:10 -k 50 >mix.csv
head -n 1 mix.csv
sed 1d mix.csv | cut -d, -f2 | sort | uniq -d | grep . && echo "WRONG: a row was picked twice"
wc -l <mix.csv
s -k 30 --group groups.csv --per-group 1 >group.csv
sed 1d group.csv | awk -F, '{ print int($2 / 20) }' | sort | uniq -d | grep . && echo "WRONG: a group was picked twice"
s -k 30 --group groups.csv --per-group 2 | sed 1d | awk -F, '{ print int($2 / 20) }' | sort | uniq -c | awk '$1 > 2 { print "WRONG: " $0 }'
s -k 30 --balance | sed 1d | cut -d, -f6 | sort | uniq -c | awk '{ print $1 }'
s -k 20 --strategy margin >first.csv
s -k 20 --strategy margin --exclude first.csv >second.csv
s -k 40 --strategy margin | sed 1d | cut -d, -f2 >both
cat first.csv second.csv | grep -v rank | cut -d, -f2 | cmp - both
sed 1d labels.csv | cut -d, -f1 >labels.txt
{ echo id; cat labels.txt; } >labelled.csv
sluice select pool.npy --head head.safetensors --quiet --labelled labels.txt -k 20 --strategy margin | cmp - first.csv
sluice select pool.npy --head head.safetensors --quiet --labelled labelled.csv -k 20 --strategy margin | cmp - first.csv
fails 2 select pool.npy --head head.safetensors -k 5 --mix margin:70,nonsense:30
fails 2 select pool.npy --head head.safetensors -k 5 --mix margin
fails 2 select pool.npy --head head.safetensors -k 5 --mix margin:-1
fails 66 select pool.npy --head head.safetensors -k 5 --group missing.csv
fails 65 select pool.npy --head head.safetensors -k 5 --group labels.csv
echo 5000 >beyond.txt
fails 65 select pool.npy --head head.safetensors -k 5 --exclude beyond.txt
fails 66 select pool.npy --head head.safetensors -k 5 --exclude missing.txt
