# Every format and type that is written reads back as the same rows; the generator made the same files on its own.
make npy pool.npy rows=700 width=9
make fbin pool.fbin rows=700 width=9
make npy half.npy rows=700 width=9 type=f16
sluice convert pool.npy --to fbin --out a.fbin
identical pool.fbin a.fbin
sluice convert pool.npy --to safetensors --out a.safetensors --quiet
sluice convert a.safetensors --to npy --out b.npy --quiet
identical pool.npy b.npy
sluice convert pool.npy --to npy --type f16 --out c.npy --quiet
identical half.npy c.npy
sluice convert c.npy --to npy --type f32 --out d.npy --quiet --mem-mib 1
identical pool.npy d.npy
sluice convert half.npy --to npy --out e.npy --quiet
identical half.npy e.npy
make npy a1.npy rows=123 width=9
make safetensors a2.safetensors rows=577 first=123 width=9 type=f16
sluice convert a1.npy a2.safetensors --to npy --out joined.npy --quiet
identical pool.npy joined.npy
sluice convert pool.npy --to safetensors --type bf16 --out b16.safetensors --quiet
sluice info b16.safetensors
sluice convert pool.npy --to npy --type i8 --out small.npy --quiet
ls small*
sluice info small.npy
# i8 with its scales is near enough for nearly the same picks; with ids they come along.
make ids names.txt rows=700 names=1
sluice convert pool.npy --ids names.txt --to npy --out named.npy --quiet
identical names.txt named.ids.txt
sluice convert pool.npy --normalise --to npy --out unit.npy --quiet
od -An -v -t f4 -w36 -j 128 unit.npy | awk '{ s = 0; for (i = 1; i <= 9; i++) s += $i * $i; if (s < 0.99999 || s > 1.00001) print "WRONG: length " s }' | head -n 3
make npy images.npy rows=10 shape=4x4x2 classes=4
sluice convert images.npy --to safetensors --out images.safetensors --quiet
sluice info images.safetensors | grep row_shape
# Again, other, forced.
sluice convert pool.npy --to fbin --out a.fbin --quiet && echo again
fails 66 convert half.npy --to fbin --out small.fbin --ids gone.txt
fails 73 convert a1.npy --to fbin --out a.fbin
sluice convert a1.npy --to fbin --out a.fbin --force --quiet && echo forced
