# Everything that is done with a checkout. The virtual environments are made when a target needs them.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
SHELL := bash
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start hundreds of processes. With what Python has compiled before, each takes half of the processor time.
unexport PYTHONDONTWRITEBYTECODE

# What is installed is what the locks name, by hash, and nothing of it is built here: building runs others' code.
INSTALL_LOCKED := install --quiet --no-deps --require-hashes --only-binary :all: --requirement
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--custom-compile-command 'make lock' $(LOCK_OPTIONS)
PROTOC := .venv-stubs/bin/python -m grpc_tools.protoc \
	--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	--proto_path=rainbow/protos=grpc_api rainbow/protos/rainbow.proto
LATER_PROTOC := .venv-stubs/bin/python -m grpc_tools.protoc --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	--proto_path=. grpc_api/later/later.proto

# The images: what builds them, what they are made from, and what they say of themselves. The Docker format has health
# checks, which Podman and Buildah write by BUILDAH_FORMAT; Docker knows no other.
IMAGE_BUILDER ?= $(firstword $(foreach program,docker podman buildah,$(if $(shell command -v $(program)),$(program))))
IMAGE_OPTIONS ?=
BASE ?= docker.io/library/python:3.11-slim-bookworm
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' rainbow/__init__.py)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

# Many tests wait for processes, schedulers and browsers; the files of four at a time share two cores well. They keep the
# order of tests/conftest.py, which begins with the longest, so that all end together.
FOUR_AT_ONCE := --numprocesses=4 --dist=loadfile --no-loadscope-reorder
# Those that empty the database run by themselves: the others need what the migrations put there.
EMPTYING := tests/test_after_commit.py tests/test_after_groups_races.py tests/test_after_races.py \
	tests/test_deleted_queue_races.py tests/test_empty_queues_at_once.py tests/test_facts_at_once.py \
	tests/test_give_back_at_once.py tests/test_group_races.py tests/test_guesses_at_once.py \
	tests/test_held_back_races.py tests/test_inputs_at_once.py tests/test_many_queues.py tests/test_news.py \
	tests/test_permission_migration.py tests/test_pool_races.py tests/test_prepared_statements.py \
	tests/test_races.py tests/test_readiness.py tests/test_restart_ids.py tests/test_submission_limits.py \
	tests/test_turns_at_once.py tests/test_webhook_races.py
# Those that build images and install packages take minutes, and have targets of their own. .ci/run builds the
# images beside the other tests of SQLite.
IMAGES := tests/test_compose.py tests/test_images.py tests/test_installation_guide.py
# These meet no database, one of their own, or a server of whose database they see nothing: they run once, with SQLite.
ONCE := agent_attacked airflow agent_command agent_f* agent_killed agent_metrics agent_options agent_people agent_s* agent_takes_jobs \
	agent_withdraws_jobs architecture asgi_transport async_client background backup_files bad_bytes broken_answers certificate_keys certificate_renewal chaos children cli cli_* \
	client_answers client_certificates client_distrust \
	client_repetition compose_file config connection_diagnosis console_in_a_browser containers containers_podman database_away \
	database_file database_locks docs doctor doctor_certificate error_tables executor_* facts fairness fingerprints followed_news full_disk futures futures_distrust h2corn_server hashing held_index \
	held_job_states hostile_clients hostile_http hostile_jobs hostile_server hostile_server_broken_and_signed hostile_server_signed http_requests https images in_doubt job_folders \
	job_output job_processes job_resources jobs_as_persons journal keepalive kept_cursor kubernetes live_output loaded_modules locks log_examples log_lines log_writer login_in_a_browser long_waits look_up_of_a_pools_job mapped_agent matching metrics_docs my_pages_in_a_browser needs nextflow \
	package parameter_study policy policy_* places pool_drill presence printed_jobs probe prometheus prometheus_files python_docs reach readme recorded_conversation release releases replaced_* \
	rest_schema_page reverse_proxies rules scanning scheduler_facts settings shedding sbatch sbatch_tour sign_in_at_a_provider signatures signed_runs signed_submission signing_keys site_options slurm_answers slurm_commands snakemake squeue_as_slurm soak state_folder submit_file \
	submit_options submit_wait thread_pools timed_calls tls units users_file waited wakeups watch web_server web_tls where wire_golden \
	wrong_surroundings \
	agent_hands_over_many agent_holds_many agent_ready_jobs agent_round benchmarked_requests benchmarks_mixed_load \
	client client_reports fetched_files group_files group_wait groups_command h2corn_listener later_generation later_generations_apart \
	later_jobspecs logs_command logs_of_groups metrics_tls parameters ports rest_tour sign_in_slow simple_commands signal_command \
	traces wire_tables_client worst_cases \
	agent_pools agent_runs_jobs benchmarks_against benchmarks_before_and_after certificate_watch client_stream \
	cut_connections hostile_log_lines iri_live log_secrecy only_mine_agents rest_inputs rest_schema submit_file_cuts transports web_log

# Hypothesis and Schemathesis make the examples of these.
DRAWN := agent_facts any_message hostile_jobs hostile_server hostile_server_broken_and_signed iri_live later_generations_apart \
	matching policy_attacks rest_schema rest_written rules scanning

# These speak gRPC with servers, and run on the transport h2corn as well: a few in each run of the tests, all by a target.
WIRE_IN_EACH_RUN := client_certificates wire_behaviour
WIRE := $(WIRE_IN_EACH_RUN) any_message async_client bad_bytes bad_fields certificate_renewal client_answers client_stream concurrency \
	connection_diagnosis crash credentials_rpc database_away error_tables extension_fields fetched_files group_commit hostile_clients \
	hostile_log_lines in_doubt limits_at_servers list_clusters log_examples log_secrecy long_waits lookup_rpc metrics output_streams overload \
	pool_rpc reach recorded_conversation registration_guesses reported_facts reports_together request_ids request_rpc resume \
	reverse_proxies revocation server submit_rpc submit_stream submit_wait tls traces watch_rpc who_may_call wishes workers

# `make check` runs once more, one after another, the tests that failed: where a machine stands still, one of ten thousand
# that wait for real processes may fail by chance. The first failure stays in the output, for it is to be mended.
ONCE_MORE := --last-failed --last-failed-no-failures=none --maxfail=1 --numprocesses=0
# Of pytest, 1 says that tests failed; all else is no chance.
tests = $(1)$(if $(AGAIN), || { test $$? = 1 && $(1) $(AGAIN); })
ON_SQLITE := env -u DATABASE_URL $(BIN)/python -m pytest
ON_POSTGRESQL := $(BIN)/python -m pytest -p tests.support.postgresql

.NOTPARALLEL:
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: .venv/runtime ## Show rainbow's main job, from registering a cluster to accepting its jobs
	@PATH="$(CURDIR)/$(BIN):$$PATH" deploy/demo.sh

.PHONY: console
console: .venv/runtime ## Show the operators' console at http://127.0.0.1:8000/admin/ with a fleet that is made up
	@folder=$$(mktemp -d) && trap 'kill $$demo; wait; rm -rf "$$folder"' EXIT && trap exit INT TERM && \
		export DATABASE_URL="sqlite:///$$folder/rainbow.db" RAINBOW_SECRET_KEY=only-for-this-console && \
		$(BIN)/python manage.py migrate --verbosity=0 && \
		{ $(BIN)/python manage.py demo --stay & demo=$$!; } && \
		$(BIN)/python manage.py serve --address 127.0.0.1:0 --web 127.0.0.1:8000

.PHONY: run
run: .venv/runtime ## Start the server, gRPC and HTTP, and stay
	@exec $(BIN)/python manage.py serve

.PHONY: venv
venv: .venv/development ## Make .venv, with all that development needs

.PHONY: test
test: test-sqlite test-postgresql ## Run the tests on SQLite, then on PostgreSQL

.PHONY: test-sqlite
test-sqlite: .venv/development ## Run the tests on SQLite
	$(call tests,$(ON_SQLITE) $(FOUR_AT_ONCE) $(EMPTYING:%=--ignore=%) $(IMAGES:%=--ignore=%))
	$(call tests,$(ON_SQLITE) $(FOUR_AT_ONCE) $(EMPTYING))
	$(call tests,$(ON_SQLITE) --transport h2corn $(FOUR_AT_ONCE) $(WIRE_IN_EACH_RUN:%=tests/test_%.py))

.PHONY: test-postgresql
test-postgresql: .venv/development ## Run those that meet a database on a PostgreSQL that they start and stop
	$(call tests,$(ON_POSTGRESQL) $(FOUR_AT_ONCE) \
		$(EMPTYING:%=--ignore=%) $(IMAGES:%=--ignore=%) $(ONCE:%=--ignore-glob='tests/test_%.py'))
	$(call tests,$(ON_POSTGRESQL) $(FOUR_AT_ONCE) $(EMPTYING))

.PHONY: test-transport
test-transport: .venv/development ## Run the tests that speak gRPC on the transport h2corn, on SQLite
	$(ON_SQLITE) --transport h2corn $(FOUR_AT_ONCE) $(WIRE:%=tests/test_%.py)

.PHONY: test-long
test-long: .venv/development ## Run at length the drills and random tests that each run has in short
	$(ON_SQLITE) -m long $(FOUR_AT_ONCE)
	$(ON_POSTGRESQL) -m long $(FOUR_AT_ONCE) $(ONCE:%=--ignore-glob='tests/test_%.py')
	$(ON_SQLITE) --hypothesis-profile=long $(FOUR_AT_ONCE) $(DRAWN:%=tests/test_%.py)
	$(ON_POSTGRESQL) --hypothesis-profile=long $(FOUR_AT_ONCE) \
		tests/test_any_message.py tests/test_rest_schema.py tests/test_rest_written.py

.PHONY: test-flux
test-flux: .venv/development ## Run the tests that need a real Flux, which they start
	@command -v flux >/dev/null || { echo "flux is not on PATH" >&2; exit 1; }
	$(BIN)/python -m pytest -m flux tests/test_executor_*.py tests/test_agent_flux*.py tests/test_hostile_jobs.py tests/test_containers.py

.PHONY: check
check: AGAIN := $(ONCE_MORE)
check: lint types-and-site migrations-fresh stubs-fresh test ## Do all that a change has to pass

# Each takes one core for a minute or more.
.PHONY: types-and-site
types-and-site: .venv/development
	@$(MAKE) --no-print-directory site & site=$$!; $(MAKE) --no-print-directory types; types=$$?; wait $$site && exit $$types

.PHONY: lint
lint: .venv/development ## Check style and format
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --quiet --check

.PHONY: format
format: .venv/development ## Format the code
	$(BIN)/ruff check --quiet --fix
	$(BIN)/ruff format --quiet

.PHONY: types
types: .venv/development ## Check the types
	$(BIN)/python -m mypy

.PHONY: migrations-fresh
migrations-fresh: .venv/development ## Check that the migrations make what the models say
	DATABASE_URL=sqlite:///:memory: $(BIN)/python manage.py makemigrations --check --dry-run

.PHONY: stubs
stubs: .venv/development .venv-stubs/installed ## Write rainbow/protos from grpc_api/rainbow.proto
	$(PROTOC) --python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet:.
	$(LATER_PROTOC) --python_out=. --mypy_out=quiet:.

.PHONY: stubs-fresh
stubs-fresh: .venv/development .venv-stubs/installed ## Check that rainbow/protos is what `make stubs` writes
	rm -rf build/stubs && mkdir -p build/stubs
	$(PROTOC) --python_out=build/stubs --grpc_python_out=build/stubs \
		--mypy_out=quiet:build/stubs --mypy_grpc_out=quiet:build/stubs
	diff -r --brief --exclude=__init__.py --exclude=__pycache__ rainbow/protos build/stubs/rainbow/protos
	$(LATER_PROTOC) --python_out=build/stubs --mypy_out=quiet:build/stubs
	for stub in later_pb2.py later_pb2.pyi; do diff --brief grpc_api/later/$$stub build/stubs/grpc_api/later/$$stub || exit; done

.PHONY: docs
docs: .venv/development ## Write docs/protocol.md, docs/openapi.yaml and the programs in docs/python from what they are of
	$(BIN)/python manage.py protocol
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml
	$(BIN)/python -m tools.python_docs

.PHONY: client
client: .venv/development ## Write the asynchronous client in rainbow/aio from the calls of rainbow/client_*.py
	$(BIN)/python -m tools.async_client

.PHONY: site
site: .venv-site/installed ## Build the manual in build/site, one folder a version; a link that leads nowhere is an error
	.venv-site/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env -c deploy/site . build/site/$(VERSION)

.PHONY: lock
lock: .venv/development ## Write requirements*.lock for requirements*.txt; LOCK_OPTIONS=--upgrade takes what is newest
	for name in requirements-client requirements requirements-otel requirements-h2corn requirements-dev requirements-stubs \
		requirements-kubernetes requirements-site requirements-airflow; do \
		$(LOCK) $$name.txt --output-file $$name.lock || exit; \
	done
	$(LOCK) --no-binary connection-pool requirements-snakemake.txt --output-file requirements-snakemake.lock

.PHONY: sbom
sbom: .venv/development ## Write build/sbom.json, the bill of materials (CycloneDX) of what the server runs on
	$(BIN)/python -m venv --clear --without-pip build/sbom
	$(BIN)/python -m pip --python build/sbom/bin/python $(INSTALL_LOCKED) requirements.lock
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom.json build/sbom

.PHONY: release
release: .venv/development ## Build wheel, sources, images, bill of materials and checksums into build/release; IMAGE_BUILDER= builds no images
	PYTHON=$(BIN)/python deploy/release.sh check
	$(MAKE) sbom $(if $(IMAGE_BUILDER),images)
	PYTHON=$(BIN)/python deploy/release.sh build $(IMAGE_BUILDER)

.PHONY: images
images: ## Build the images of server and agent; BASE=, IMAGE_BUILDER= and IMAGE_OPTIONS= say of what, by what and how
	@test -n "$(IMAGE_BUILDER)" || { echo 'needs docker, podman or buildah' >&2; exit 1; }
	for target in server agent; do \
		BUILDAH_FORMAT=docker $(IMAGE_BUILDER) build $(IMAGE_OPTIONS) --target $$target --build-arg BASE=$(BASE) \
			--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
			--tag localhost/rainbow-$$target:$(VERSION) --tag localhost/rainbow-$$target:latest . || exit; \
	done

.PHONY: images-check
images-check: .venv/development ## Build the images without a registry, and run them, in some two minutes; needs root on Debian
	$(BIN)/python -m pytest -m 'long or not long' tests/test_images.py

.PHONY: compose-demo
compose-demo: images ## Show deploy/compose.yaml, from nothing to a job that has ended, and take it down again
	deploy/compose-demo.sh

.PHONY: compose-check
compose-check: .venv/development ## Do the same where there is no registry, with PostgreSQL and HAProxy of Debian; needs root
	$(BIN)/python -m pytest tests/test_compose.py

.PHONY: kubernetes-check
kubernetes-check: .venv/development .venv-kubernetes/installed ## Check deploy/kubernetes against the schemas of Kubernetes
	$(BIN)/python -m pytest tests/test_kubernetes.py

.PHONY: snakemake-check
snakemake-check: .venv/development .venv-snakemake/installed ## Run a workflow of a real Snakemake by integrations/snakemake
	$(BIN)/python -m pytest tests/test_snakemake.py

.PHONY: guide-check
guide-check: .venv/development ## Do what docs/operations.md says from an empty Debian on, in containers; needs root
	$(BIN)/python -m pytest tests/test_installation_guide.py

.PHONY: airflow-check
airflow-check: .venv/development .venv-airflow/installed ## Run integrations/airflow with a real Airflow
	$(BIN)/python -m pytest tests/test_airflow.py

.PHONY: screenshots
screenshots: .venv/development ## Write docs/screenshots, with the Chromium of this machine
	$(BIN)/python -m tests.support.screenshots

.PHONY: bench
bench: .venv/development ## Measure the server and print tables, within ten minutes
	$(BIN)/python -m benchmarks

.PHONY: bench-growth
bench-growth: .venv/development ## Measure with ten million jobs in the database
	$(BIN)/python -m benchmarks growth --growth 10000000

.PHONY: bench-check
bench-check: .venv/development ## Measure, and fail where it is worse than benchmarks/baseline.json
	$(BIN)/python -m benchmarks verbs further-calls bulk workers --folder /dev/shm --check

.PHONY: drill
drill: .venv/development ## Kill servers and agents while a pool's 20,000 jobs are taken: each starts once
	$(BIN)/python -m benchmarks.drill

.PHONY: sweep-drill
sweep-drill: .venv/development ## Kill the agent at each step of a sweep of 2,000 through a real Slurm, or Flux (SCHEDULER=flux): each member runs once
	$(BIN)/python -m benchmarks.sweep_drill --scheduler $(or $(SCHEDULER),slurm)

.PHONY: futures-drill
futures-drill: .venv/development ## Run 10,000 calls of a function as jobs by one executor: time, memory, threads, connections
	$(BIN)/python -m benchmarks.futures_drill

.PHONY: chaos
chaos: .venv/development ## Strike servers and PostgreSQL with one fault after another: no job is lost or run twice
	$(BIN)/python -m benchmarks.chaos

.PHONY: soak
soak: .venv/development ## Watch for SECONDS (an hour) whether memory, files or rows of servers grow
	$(BIN)/python -m benchmarks.soak $(SECONDS)

.PHONY: abuse
abuse: .venv/development ## Attack a server of this checkout, and print what an honest caller notices of it
	$(BIN)/python -m benchmarks.abuse

.PHONY: clean
clean: ## Remove what these targets made, and nothing else
	rm -rf .venv .venv-stubs .venv-kubernetes .venv-site .venv-airflow .venv-snakemake build dist *.egg-info .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'rainbow needs Python 3.11 or newer: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@echo 'Making .venv, an environment of Python for this checkout'
	@$(PYTHON) -m venv .venv

# The `rainbow` command of this environment runs the checkout's code. `pip install .` puts a copy in its place, which
# would stay as it is when the checkout changes.
COPY := $(wildcard .venv/lib/python*/site-packages/rainbow/__init__.py)
.PHONY: $(COPY)
.venv/runtime: requirements.lock pyproject.toml $(COPY) | .venv/bin/python
	@echo "Installing what rainbow runs on into .venv, this once: $$(grep -c == requirements.lock) packages, in a minute or so"
	@$(BIN)/python -m pip $(INSTALL_LOCKED) requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-index --no-build-isolation --editable .
	@touch $@

.venv/development: requirements-dev.lock .venv/runtime
	@echo "Installing what development needs into .venv, this once: $$(grep -c == requirements-dev.lock) packages, in minutes"
	@$(BIN)/python -m pip $(INSTALL_LOCKED) requirements-dev.lock
	@touch $@

.venv-stubs/installed: requirements-stubs.lock | .venv/bin/python
	$(BIN)/python -m venv --clear .venv-stubs
	.venv-stubs/bin/python -m pip $(INSTALL_LOCKED) requirements-stubs.lock
	@touch $@

.venv-kubernetes/installed: requirements-kubernetes.lock | .venv/bin/python
	$(BIN)/python -m venv --clear .venv-kubernetes
	.venv-kubernetes/bin/python -m pip $(INSTALL_LOCKED) requirements-kubernetes.lock
	@touch $@

# There is no wheel of connection-pool, which Snakemake needs: it is built by the setuptools of the client's lock.
.venv-snakemake/installed: requirements-client.lock requirements-snakemake.lock | .venv/bin/python
	$(BIN)/python -m venv --clear .venv-snakemake
	.venv-snakemake/bin/python -m pip $(INSTALL_LOCKED) requirements-client.lock
	.venv-snakemake/bin/python -m pip $(INSTALL_LOCKED:--requirement=--no-binary connection-pool --no-build-isolation --requirement) requirements-snakemake.lock
	@touch $@

.venv-site/installed: requirements-site.lock | .venv/bin/python
	$(BIN)/python -m venv --clear .venv-site
	.venv-site/bin/python -m pip $(INSTALL_LOCKED) requirements-site.lock
	@touch $@

.venv-airflow/installed: requirements-airflow.lock | .venv/bin/python
	$(BIN)/python -m venv --clear .venv-airflow
	.venv-airflow/bin/python -m pip $(INSTALL_LOCKED) requirements-airflow.lock
	@touch $@
