# `make demo` and `make test` are all a newcomer needs: both make the environment if it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete

.PHONY: setup demo test check fuzz lint wheel site notebooks format bench-mri bench-mri-active bench-ct bench-speech bench-hsi bench-petct bench-ultrasound bench-samplers bench-speed clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@# torchaudio's wheel links CUDA; beside a CPU-only torch only its Python parts can be used.
	@$(BIN)/python -c "import torch; raise SystemExit(torch.version.cuda is not None)" \
	    && rm -f $(VENV)/lib/python3*/site-packages/torchaudio/lib/*.so || true
	@touch $@

demo: setup
	$(BIN)/sciddm demo mri -o sciddm-demo

# One process a core, each with one thread: a test is small, and threads that wait cost time.
test: setup
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --dist worksteal

# The quick loop of development: style, types, the imports and the engine.
check: lint
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --dist worksteal \
	    tests/test_architecture.py tests/test_types.py tests/engine \
	    --ignore tests/engine/test_cluster.py --ignore tests/engine/test_workers.py

# Damaged files of every format; what is not a right result or one line of error is printed.
FUZZ ?= --count 20000
fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $(FUZZ)

# What users get: sdist and wheel, the wheel in an environment of its own, every verb and demo.
wheel: setup
	bash .ci/wheel

# The documentation: every page, link and name is checked; `sciddm docs` opens it.
site: setup
	NO_MKDOCS_2_WARNING=1 SCIDDM_ISOLATION=off $(BIN)/mkdocs build --quiet --strict

# Runs every notebook and keeps its pictures; the outputs are committed.
notebooks: setup
	$(BIN)/python -m notebooks.execute

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Against sigpy and deepinv, which get an environment of their own (several GB, made once).
bench-mri: setup
	$(BIN)/python -m benchmarks.mri

# Active acquisition against fixed masks.
bench-mri-active: setup
	$(BIN)/python -m benchmarks.mri_active

# Against scikit-image's filters, and BM3D in an environment of its own (non-commercial licence).
bench-ct: setup
	$(BIN)/python -m benchmarks.ct --with-bm3d

# Against noisereduce, RNNoise and WPE, in an environment of their own; PESQ needs a C compiler.
bench-speech: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,speech-metrics]"
	$(BIN)/python -m benchmarks.speech

# Against HyDe, BM3D and BM4D (non-commercial licences), in an environment of their own.
bench-hsi: setup
	$(BIN)/python -m benchmarks.hsi

# References that are not bundled are trained by recipes/petct-*.yaml first (see there).
bench-petct: setup
	$(BIN)/python -m benchmarks.petct

# Against non-local means, and BM3D in the environment of bench-ct (non-commercial licence).
bench-ultrasound: setup
	$(BIN)/python -m benchmarks.ultrasound --with-bm3d

# Every solver and posterior sampler against exact answers, beside azula and deepinv in an
# environment of their own, and on MRI slices of validation patients.
bench-samplers: setup
	$(BIN)/python -m benchmarks.methods
	$(BIN)/python -m benchmarks.samplers
	$(BIN)/python -m benchmarks.samplers_mri

# Seconds and memory: on an idle machine.
bench-speed: setup
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.ct_speed
	$(BIN)/python -m benchmarks.petct_speed
	$(BIN)/python -m benchmarks.ultrasound_speed

clean:
	rm -rf $(VENV) .venv-peers .venv-peers-ct .venv-peers-speech .venv-peers-hsi .venv-peers-samplers build *.egg-info runs sciddm-demo
