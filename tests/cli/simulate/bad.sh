make npy pool.npy rows=60 width=6
make npy test.npy rows=30 first=100 width=6
make npy wide.npy rows=30 first=100 width=7
make labels labels.npy rows=60 form=npy
make labels some.npy rows=60 every=2 form=npy
make labels test.lab.npy rows=30 first=100 form=npy
f() { fails "$1" simulate pool.npy --batch 5 --rounds 1 --out sim "${@:2}"; }
f 66 --labels gone.npy --test test.npy --test-labels test.lab.npy --start 6
f 66 --labels labels.npy --test gone.npy --test-labels test.lab.npy --start 6
f 65 --labels labels.npy --test wide.npy --test-labels test.lab.npy --start 6
f 65 --labels labels.npy --test test.npy --test-labels labels.npy --start 6
f 2 --labels labels.npy --test test.npy --test-labels test.lab.npy --start 6 --strategy nonsense
f 2 --labels labels.npy --test test.npy --test-labels test.lab.npy --start 6 --layers nonsense
f 73 --labels labels.npy --test test.npy --test-labels test.lab.npy --start 6 --out no/such/sim
f 73 --labels labels.npy --test test.npy --test-labels test.lab.npy --start 6 --out pool.npy
# A start set of all rows leaves nothing to pick.
sluice simulate pool.npy --batch 5 --rounds 1 --seeds 1 --out sim --labels labels.npy --test test.npy \
    --test-labels test.lab.npy --start 61 --strategy random --quiet | labels_column
