# A PyTorch linear layer, as .safetensors or two .npy files, becomes a head.
w='{"fc.bias":{"dtype":"F32","shape":[3],"data_offsets":[48,60]},"fc.weight":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}}'
safetensors_with torch.safetensors "$w" 60
printf 'cat\ndog\nowl\n' >names.txt
sluice convert torch.safetensors --to head --classes names.txt --out head.safetensors
sluice info head.safetensors
make npy weight.npy rows=3 width=4
npy_with bias.npy "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }" 12
sluice convert weight.npy --to head --bias bias.npy --out head2.safetensors
make npy pool.npy rows=10 width=4
sluice select pool.npy --head head2.safetensors -k 2 --quiet | wc -l
fails 65 convert torch.safetensors --to head --prefix classifier --out x.safetensors
printf 'cat\ndog\n' >two.txt
fails 65 convert torch.safetensors --to head --classes two.txt --out x.safetensors
npy_with bias4.npy "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }" 16
fails 65 convert weight.npy --to head --bias bias4.npy --out x.safetensors
fails 66 convert gone.safetensors --to head --out x.safetensors
fails 2 convert torch.safetensors --to head --type f16 --out x.safetensors
