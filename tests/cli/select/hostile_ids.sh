# Ids that are too few, double, or no ids at all; logits and probabilities that do not fit.
make npy pool.npy rows=4 width=3
p() { fails "$1" select pool.npy --strategy random -k 3 "${@:2}"; }
printf 'a\nb\nc\n' >few.txt; p 65 --ids few.txt
printf 'a\nb\nc\nd\ne\n' >many.txt; p 65 --ids many.txt
printf 'a\nb\nc\na\n' >twice.txt; p 65 --ids twice.txt
printf 'a\n\nc\nd\n' >gap.txt; p 65 --ids gap.txt
printf 'a\nb\xff\nc\nd\n' >not-utf8.txt; p 65 --ids not-utf8.txt
printf '1\n2\n3\n18446744073709551616\n' >large.txt
printf 'name\na\nb\nc\nd\n' >no-column.csv; p 65 --ids no-column.csv
p 66 --ids missing.txt
printf 'id\na\n"b,""x"""\nc d\nü\n' >good.csv
sluice select pool.npy --ids good.csv --strategy random -k 4 --quiet | cut -d, -f1-3
make npy other.npy rows=5 width=3
fails 65 select pool.npy --logits other.npy -k 3
fails 65 select pool.npy --probs other.npy -k 3
npy_with odd.npy "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 1), }" 16
fails 66 select pool.npy --logits missing.npy -k 3
fails 2 select pool.npy -k 3 --strategy margin
fails 2 select pool.npy -k 3 --strategy marign --logits pool.npy
fails 2 select pool.npy -k 3 --strategy margin:beta=2 --logits pool.npy
fails 2 select pool.npy -k 3 --strategy power-margin:beta=x --logits pool.npy
fails 2 select pool.npy -k 3 --strategy margin,margin --logits pool.npy
make npy wide.npy rows=4 width=5
make labels labels.csv rows=4
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
fails 65 select wide.npy --head head.safetensors -k 3
fails 65 select pool.npy --head pool.npy -k 3
