# Parts that are missing, there twice, of another run, unfinished or damaged are refused by name.
make npy pool.npy rows=3000 width=8
make npy other.npy rows=3000 width=8 seed=9
make labels labels.csv rows=3000 every=30
make labels more.csv rows=3000 every=20
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
sluice train pool.npy --labels more.csv --out other.safetensors --quiet
part() { sluice select "$1" --head "$2" --strategy "$3" -k 10 --seed "$4" --shard "$5" --out "$6" --quiet; }
for i in 0 1 2; do part pool.npy head.safetensors margin 1 $i/3 $i.s; done
part pool.npy head.safetensors margin 1 2/4 four.s
part pool.npy head.safetensors margin 2 2/3 seed.s
part pool.npy head.safetensors entropy 1 2/3 strategy.s
part pool.npy other.safetensors margin 1 2/3 head.s
part other.npy head.safetensors margin 1 2/3 pool.s
cp 1.s copy.s
m() { fails "$@" --out picks.csv; }
m 66 merge pool.npy 0.s 2.s
m 66 merge pool.npy 0.s 1.s nothing.s
m 65 merge pool.npy 0.s 1.s copy.s 2.s
for f in four seed strategy head pool; do m 65 merge pool.npy 0.s 1.s $f.s; done
m 65 merge other.npy 0.s 1.s 2.s
m 65 merge pool.npy 0.s 1.s 2.s --head other.safetensors
m 65 merge pool.npy 0.s 1.s 2.s --labels labels.csv
m 65 merge pool.npy 0.s 1.s labels.csv
head -c 700 2.s >cut.s
m 65 merge pool.npy 0.s 1.s cut.s
sed 's/margin/morgin/' 2.s >changed.s
m 65 merge pool.npy 0.s 1.s changed.s
m 2 merge pool.npy
mv head.safetensors away.safetensors
m 66 merge pool.npy 0.s 1.s 2.s
sluice merge pool.npy 0.s 1.s 2.s --head away.safetensors --out picks.csv --quiet && wc -l <picks.csv
mv away.safetensors head.safetensors
# What is asked of --shard.
s() { fails "$1" select pool.npy --head head.safetensors --strategy margin -k 10 "${@:2}"; }
s 2 --shard 3/3 --out x.s
s 2 --shard 1 --out x.s
s 2 --shard -1/3 --out x.s
s 2 --shard 1/3
s 73 --shard 1/3 --out no/x.s
s 73 --shard 1/3 --seed 1 --out head.safetensors
s 73 --shard 1/3 --seed 1 --out 0.s
s 73 --shard 0/3 --seed 7 --out 0.s
# The same part again is done.
part pool.npy head.safetensors margin 1 0/3 0.s && ls -- *.s
