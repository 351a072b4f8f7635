# --key=value, --key value, -kN, -k N, aliases and "--" mean the same.
make npy p.npy rows=50 width=4
s() { sluice select "$@" --strategy random --quiet; }
s p.npy -k 5 >a
s p.npy -k5 >b
s p.npy --count=5 >c
s --features p.npy --count 5 >d
s --pool=p.npy -k=5 >e
"$SLUICE" select --strategy=random --quiet -k 5 -- p.npy >f
identical a b c d e f
cat a
