# make demo: a 1-bit student, its file and the report, on built-in data. make test: everything the project promises.
# make test-gpu: the same on a GPU, at tiny size.
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= 12_bits
PROFILE ?= smoke
DEEPSPEED ?= 0.19.6
BENCH ?=
GPU ?=
# One process of tests more than there are cores: many tests wait for processes of their own.
PROCESSES := $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')

.PHONY: demo test test-gpu stress bench-peer lab install clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: install
	$(BIN)/xtc-study run $(STUDY) --profile $(PROFILE)
	$(BIN)/xtc-study collect $(STUDY) --profile $(PROFILE)
	$(BIN)/xtc-study report $(STUDY) --profile $(PROFILE)

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses $(PROCESSES) --maxprocesses 4 --dist worksteal

# Every CUDA path at tiny size. Without .venv it takes $(PYTHON), whose torch is then the machine's own (docs/gpu.md).
test-gpu:
	$(or $(wildcard $(BIN)/python),$(PYTHON)) benchmarks/gpu_paths.py $(GPU)

stress: install
	XTC_KILLS=200 $(BIN)/pytest -s tests/runs/test_kills.py

# Training steps beside those of DeepSpeed's compression, in an environment of its own. BENCH: flags of train_step.py.
bench-peer: install .venv-peer/installed
	$(BIN)/python benchmarks/train_step.py $(BENCH)

.venv-peer/installed: constraints.txt
	$(PYTHON) -m venv .venv-peer
	.venv-peer/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch transformers safetensors setuptools
	.venv-peer/bin/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation deepspeed==$(DEEPSPEED)
	touch $@

lab: install
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/00_index.ipynb

clean:
	rm -rf .venv .venv-peer build *.egg-info results/smoke reports/smoke
