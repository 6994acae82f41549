# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
# They need make, Python 3.11 or newer and, where no suitable `opencode` is on PATH, Node.js with npm.
# All that they install stays in .venv and .tools, but for a browser (see `ready-browser`); `make clean` removes it.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint schemas skill site suite coverage bench simulate soak mutants harbor dist lock clean ready ready-dev ready-mutants ready-opencode ready-browser ready-test

# The first one that can make a virtual environment; PYTHON=/path/to/python overrides the choice.
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3.14 python3; do \
	"$$each" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done)
SETUP := $(or $(PYTHON),python3) scripts/setup.py
BIN := .venv/bin
WITH_OPENCODE = OPENCODE_DRIVER_BINARY="$$(cat .tools/opencode.path)"

# A server of yours, and its password, stay out of the demo and of the tests.
unexport OPENCODE_API_URL OPENCODE_SERVER_USERNAME OPENCODE_SERVER_PASSWORD
unexport OPENCODE_DRIVER_STATE_DIR OPENCODE_DRIVER_DIRECTORY OPENCODE_DRIVER_MODEL OPENCODE_DRIVER_SERVER_ENV
unexport OPENCODE_DRIVER_POLICY OPENCODE_DRIVER_AUDIT OPENCODE_DRIVER_RECORD
unexport OPENCODE_DRIVER_ROOTS OPENCODE_DRIVER_CALL_SECONDS OPENCODE_DRIVER_MAX_CHARS
unexport OPENCODE_DRIVER_TRUST OPENCODE_DRIVER_REQUIRED_PLUGINS
unexport PYTHONPATH PYTHONHOME
# What is compiled once is not compiled again by each of the many processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo 'make demo    one coding task on a private OpenCode server with the offline model: no key, no provider'
	@echo 'make test    everything that CI runs: lint, types, schemas, SKILL.md, all tests, the built wheel'
	@echo 'make lint    ruff, mypy, pyright, and whether the generated Python API is up to date'
	@echo 'make site    the documentation as a site in build/site, every link checked'
	@echo 'make suite   the tests alone; PYTEST_ARGS="-k name" chooses some'
	@echo 'make coverage  the tests one at a time, with the share of lines and branches that they reach'
	@echo 'make soak    the long runs (loads, races, kill -9, a day in half an hour, random faults): about two hours; SOAK="G9 G10" chooses some'
	@echo 'make mutants  every small defect in the guards (success, deadline, identity, ids, clean-up) must fail a fast test: 20 minutes'
	@echo 'make harbor  the tasks of examples/harbor judged by Harbor, offline, in a Python >= 3.12 of its own: two to five minutes'
	@echo 'make bench   this driver beside bare HTTP and `opencode run`, as ratios'
	@echo 'make simulate  100 workers and 100,000 tasks of no work on one Postgres: what it lets through'
	@echo 'make dist    the wheel and the sdist in dist/'
	@echo 'make lock    renew the pinned packages of the set-up from pyproject.toml; UPGRADE=--upgrade takes the newest'
	@echo 'make clean   remove what the others have made'

demo: ready ready-opencode
	@$(WITH_OPENCODE) $(BIN)/netclaw-opencode demo

test: ready-test lint schemas skill site suite

lint: ready-dev
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/python scripts/generate_api.py --check
	$(BIN)/pyright --level error

schemas: ready-dev
	$(BIN)/check-jsonschema --check-metaschema schemas/*.json schemas/actions/*.json
	$(BIN)/check-jsonschema --schemafile schemas/skill.schema.json skill.yaml
	$(BIN)/check-jsonschema --schemafile schemas/policy.schema.json examples/policy.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec examples/batches/compose/compose.yaml
	$(BIN)/check-jsonschema --schemafile tests/support/keda.schema.json examples/batches/kubernetes/scaledobject.yaml
	$(BIN)/kubernetes-validate --quiet --strict -k 1.37.0 examples/batches/kubernetes/workers.yaml examples/batches/kubernetes/submit.yaml

# The validator wants a folder of the skill's name, with nothing but the skill in it.
skill: ready-dev
	@rm -rf build/skill && mkdir -p build/skill/opencode-driver && cp SKILL.md build/skill/opencode-driver
	$(BIN)/agentskills validate build/skill/opencode-driver
	$(BIN)/netclaw-opencode skill validate --strict --import --format text . examples/permission_policy

# Warnings are errors, broken links among them; then every link of the finished pages is followed. No address on the web is visited.
site: ready-dev
	@rm -rf build/site build/site-cache
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs 2 -b html -c docs/site -d build/site-cache . build/site
	$(BIN)/python scripts/check_site.py build/site

# Four at a time: much of a test's time is waiting, for deadlines and for OpenCode. A file stays together, with one server for each worker.
# stay in the order of tests/conftest.py, the slow ones first.
suite: ready-dev ready-opencode ready-browser
	$(WITH_OPENCODE) $(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

coverage: ready-dev ready-opencode ready-browser
	@rm -rf build/coverage && mkdir -p build/coverage
	$(WITH_OPENCODE) $(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report > build/coverage/report.txt
	@echo "coverage: $$($(BIN)/coverage report --format=total) % of lines and branches; by file: build/coverage/report.txt"

# SOAK="--share 0.05" makes them small; SOAK=--write keeps the readings for docs/reliability.md.
soak: ready-dev ready-opencode
	@$(WITH_OPENCODE) $(BIN)/python -m tests.soak $(SOAK)

# MUTANTS="ids clean-up" chooses subjects; MUTANTS=--write keeps the figure for docs/reliability.md.
mutants: ready-mutants
	@$(BIN)/python scripts/mutants.py $(MUTANTS)

bench: ready ready-opencode
	@$(WITH_OPENCODE) $(BIN)/python -m scripts.bench

# SIMULATE="--workers 300 --task-seconds 30" asks for another load; docs/scale.md has the readings.
simulate: ready-dev
	@$(BIN)/python -m scripts.simulate_batches $(SIMULATE)

# HARBOR_PYTHON=/path/to/python3.12 chooses the Python of Harbor, KEEP_JOBS=1 keeps what it has written, in build/harbor-jobs.
harbor: ready-dev ready-opencode
	@$(WITH_OPENCODE) $(BIN)/python examples/harbor/run_offline.py $(HARBOR)

# The same commit gives the same files: their times are those of the commit. TAG=v1.2.3 must name the version that was built.
dist: ready-dev
	@rm -rf dist
	SOURCE_DATE_EPOCH="$$(git log -1 --pretty=%ct 2>/dev/null || echo 1577836800)" $(BIN)/python -m build --no-isolation --outdir dist .
	@test -z "$(TAG)" || test "$(TAG)" = "v$$($(BIN)/python -c 'import netclaw_opencode; print(netclaw_opencode.__version__)')" || \
		{ echo "the tag $(TAG) is not the version of the package" >&2; exit 1; }

lock: ready-dev
	@$(BIN)/python scripts/lock.py $(UPGRADE)

clean:
	rm -rf .venv .tools build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

ready:
	@$(SETUP) run

ready-dev:
	@$(SETUP) dev

ready-mutants:
	@$(SETUP) mutants

ready-opencode:
	@$(SETUP) opencode

# The one of the machine, or Debian's, which root installs for all users.
ready-browser:
	@$(SETUP) browser

# All at once: the browser is fetched while the packages are installed.
ready-test:
	@$(SETUP) dev opencode browser
