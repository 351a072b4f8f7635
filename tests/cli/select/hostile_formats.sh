# .safetensors, .fbin, .fvecs, idx and pool.json files that lie.
p() { fails "$1" select "$2" --strategy random -k 3 "${@:3}"; }
t='{"x":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]}}'
safetensors_with good.safetensors "$t" 48
sluice select good.safetensors --strategy random -k 1 --quiet | wc -l
p 66 good.safetensors --tensor y
safetensors_with short.safetensors "$t" 47; p 65 short.safetensors
safetensors_with long.safetensors "$t" 60; p 65 long.safetensors
for cut in 0 7 8 20; do head -c $cut good.safetensors >cut.safetensors; p 65 cut.safetensors; done
{ hex ff ff ff ff ff ff ff ff; echo "$t"; } >huge.safetensors; p 65 huge.safetensors
{ hex ff ff ff ff ff ff ff 7f; echo "$t"; } >huge2.safetensors; p 65 huge2.safetensors
for text in '{' '[]' '{}' 'null' '{"x":1}' '{"x":{"dtype":"F32","shape":[4,3]}}' \
    '{"x":{"dtype":"F8","shape":[4,3],"data_offsets":[0,48]}}' \
    '{"x":{"dtype":"F32","shape":[4,-3],"data_offsets":[0,48]}}' \
    '{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,48]}}' \
    '{"x":{"dtype":"F32","shape":[4,3],"data_offsets":[48,0]}}' \
    '{"x":{"dtype":"F32","shape":[4,3],"data_offsets":[0,44]}}' \
    '{"x":{"dtype":"F32","shape":[4,3],"data_offsets":[8,56]}}' \
    '{"x":{"dtype":"F32","shape":[4,3],"data_offsets":[0,18446744073709551615]}}' \
    '{"x":{"dtype":"F32","shape":"4,3","data_offsets":[0,48]}}' \
    '{"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"y":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}' \
    '{"x":{"dtype":"F32","shape":"43","data_offsets":[0,48]}}'; do
    safetensors_with text.safetensors "$text" 48
    p 65 text.safetensors
done
safetensors_with two.safetensors '{"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"y":{"dtype":"F32","shape":[2,3],"data_offsets":[24,48]}}' 48
p 2 two.safetensors
sluice select two.safetensors --tensor y --strategy random -k 1 --quiet | wc -l
make fbin good.fbin rows=4 width=3
head -c 55 good.fbin >short.fbin; p 65 short.fbin
head -c 7 good.fbin >head.fbin; p 65 head.fbin
{ hex ff ff ff ff ff ff ff ff; head -c 48 /dev/zero; } >huge.fbin; p 65 huge.fbin
{ hex 04 00 00 00 00 00 00 00; } >width0.fbin; p 65 width0.fbin
make fvecs good.fvecs rows=4 width=3
head -c 63 good.fvecs >short.fvecs; p 65 short.fvecs
{ head -c 16 good.fvecs; hex 04 00 00 00; head -c 12 /dev/zero; } >other.fvecs
p 65 other.fvecs
{ hex ff ff ff ff; head -c 12 /dev/zero; } >negative.fvecs; p 65 negative.fvecs
make idx good.idx3-ubyte rows=4 shape=2x2x1
head -c 31 good.idx3-ubyte >short-idx3-ubyte; p 65 short-idx3-ubyte
{ hex 00 00 08 03 ff ff ff ff ff ff ff ff ff ff ff ff; head -c 48 /dev/zero; } >huge-idx3-ubyte; p 65 huge-idx3-ubyte
gzip -c good.idx3-ubyte | head -c 20 >cut-idx3-ubyte.gz; p 65 cut-idx3-ubyte.gz
echo 'no gzip' >no-idx3-ubyte.gz; p 65 no-idx3-ubyte.gz
make npy a.npy rows=4 width=3
for text in '{' '{"shards":[]}' '{"shards":[{"path":"a.npy"}]}' \
    '{"shards":[{"path":"a.npy","rows":5,"type":"f32","width":3}]}' \
    '{"shards":[{"path":"a.npy","rows":4,"type":"f16","width":3}]}' \
    '{"shards":[{"path":"a.npy","rows":4,"type":"f32","width":4}]}' \
    '{"shards":[{"path":"gone.npy","rows":4,"type":"f32","width":3}]}' \
    '{"shards":[{"path":"a.npy","rows":-4,"type":"f32","width":3}]}' \
    '{"shards":[{"path":"a.npy","rows":4,"type":"f32","width":3,"hash":"xyz"}]}'; do
    echo "$text" >pool.json
    case $text in *gone*) p 66 pool.json ;; *) p 65 pool.json ;; esac
done
echo '{"shards":[{"path":"a.npy","rows":4,"type":"f32","width":3,"hash":"0000000000000000"}]}' >pool.json
fails 65 info pool.json --check
