# make demo | test | bench | gpu-test | gpu-bench | lint | fuzz.  Each target installs what is missing (Debian, Ubuntu) and drives the CMake presets.
.PHONY: build demo test test-asan test-tsan bench gpu-test gpu-bench lint fuzz clean
JOBS := $(shell nproc)

build:
	@cmake/deps.sh build
	@cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS)

demo: build
	@cmake/deps.sh demo
	@bench/demo.sh build/release/sluice

# The CUDA plug-in is built and examined where nvcc is, for one architecture.
test:
	@cmake/deps.sh build test
	@cmake/disassembler.sh
	@cmake --preset release -DSLUICE_CUDA=AUTO -DSLUICE_CUDA_ARCHITECTURES=90 | grep '^-- CUDA plug-in'
	@cmake --build --preset release -j $(JOBS)
	@ctest --preset release -j $(JOBS)

test-asan test-tsan: test-%:
	@cmake/deps.sh build test clang
	@cmake --preset $* >/dev/null
	@cmake --build --preset $* -j $(JOBS)
	@ctest --preset $* -j $(JOBS)

bench: build
	@bench/run.sh build/release

# On a machine with a GPU and nvcc: at most ten minutes each; elsewhere they say that they are skipped.
gpu-test gpu-bench: gpu-%:
	@$(if $(filter test,$*),tests,bench)/gpu.sh

# clang's warnings as errors, format, tidy, shell scripts.
lint:
	@cmake/deps.sh build clang lint
	@cmake --preset lint >/dev/null
	@cmake --build --preset lint -j $(JOBS)
	@cmake/lint.sh build/lint

# FUZZ_SECONDS of libFuzzer for each parser.
fuzz:
	@cmake/deps.sh build clang
	@cmake --preset fuzz >/dev/null
	@cmake --build --preset fuzz -j $(JOBS)
	@tests/fuzz/run.sh build/fuzz $${FUZZ_SECONDS:-60}

clean:
	rm -rf build
