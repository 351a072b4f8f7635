# Labels and layer lines that cannot be trained on.
make npy pool.npy rows=60 width=6
make labels labels.csv rows=60
t() { fails "$1" train pool.npy --out head.safetensors --labels "${@:2}"; }
t 66 missing.csv
t 66 labels.csv --classes missing.txt
: >empty.csv; t 65 empty.csv
echo 'id,label' >header.csv; t 65 header.csv
printf 'name,label\n1,a\n2,b\n' >no-id.csv; t 65 no-id.csv
printf 'id,class\n1,a\n2,b\n' >no-label.csv; t 65 no-label.csv
printf 'id,label\n1,a\n60,b\n' >unknown-id.csv; t 65 unknown-id.csv
printf 'id,label\n1,a\n-2,b\n' >negative-id.csv; t 65 negative-id.csv
printf 'id,label\n1,a\n2,b\n1,b\n' >twice.csv; t 65 twice.csv
printf 'id,label\n1,a\n2\n' >ragged.csv; t 65 ragged.csv
printf 'id,label\n1,"a\n2,b\n' >open-quote.csv; t 65 open-quote.csv
printf 'id,label\n1,\xff\xfe\n2,b\n' >not-utf8.csv; t 65 not-utf8.csv
printf 'id,label\n1,a\n2,a\n' >one-class.csv; t 65 one-class.csv
printf 'id,label\n1,0\n2,99999999999\n' >huge-class.csv; t 65 huge-class.csv
printf 'kind 0\nkind 1\n' >two.txt; t 65 labels.csv --classes two.txt
printf 'kind 0\nkind 0\nkind 1\nkind 2\n' >same.txt; t 65 labels.csv --classes same.txt
make labels short.npy rows=59 form=npy; t 65 short.npy
make labels good.npy rows=60 form=npy
head -c 200 good.npy >cut.npy; t 65 cut.npy
make labels good.idx rows=60 form=idx
head -c 30 good.idx >cut.idx; t 65 cut.idx
t 65 pool.npy
for line in '' conv linear,linear relu mlp:0,relu,linear mlp:99999999999999999999,linear drop:1.5,linear nonsense,linear 'linear,'; do
    t 2 labels.csv --layers "$line"
done
t 65 labels.csv --layers conv3:8,linear
t 65 labels.csv --layers pool2,linear
# Rows with NaN are left out, and it says so; nothing but such rows is an error.
make npy nan.npy rows=60 width=6 nan=3,4
sluice train nan.npy --labels labels.csv --out fine.safetensors && rm fine.safetensors
printf 'id,label\n3,a\n4,b\n' >bad.csv
fails 65 train nan.npy --labels bad.csv --out head.safetensors
fails 73 train pool.npy --labels labels.csv --out no/such/folder/head.safetensors
mkdir folder
fails 73 train pool.npy --labels labels.csv --out folder
fails 73 train pool.npy --labels labels.csv --out head.safetensors --layers mlp:4,relu,linear --loss-log no/loss.csv
