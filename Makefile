# Copyright: (c) 2026, hft-incident contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0

# Everything is set up by the targets themselves: only Python 3.11 or later and make are needed.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Ansible looks for its own commands on PATH.
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help drill test lint sanity gates rotations molecule mutations bench docs clean ssh-keygen sshd netns

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)

drill: $(VENV)/.lab ssh-keygen  ## an exchange goes down in the embedded lab; the response, scored
	@$(BIN)/hft-incident drill exchange_outage

# Real processes on a shared machine: one that fails is run once more, and pytest counts it as "rerun" for all to see.
test: $(VENV)/.test ssh-keygen sshd netns  ## all tests
	$(BIN)/python -m pytest -n auto --dist loadfile --reruns 1 tests

lint: $(VENV)/.test  ## ruff, mypy, who may import whom, ansible-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/check_imports.py
	$(BIN)/ansible-lint --offline -q collections/ansible_collections/hft/incident molecule

sanity:  ## the ecosystem's own gates, and that each of them bites
	@$(MAKE) --no-print-directory VENV=$(VENV)/gates gates

gates: $(VENV)/.sanity
	$(BIN)/python tools/gates.py
	$(BIN)/python -m pytest -p no:cacheprovider -n 2 -m gates tests/packaging/test_gates.py

rotations: $(VENV)/.test  ## 200 key rotations killed with kill -9, with faults at the venues, and run again
	$(BIN)/python -m tests.lab.rotation_trials 200

molecule: $(VENV)/.molecule  ## the playbooks on real hosts: systemd, nftables, sshd, PostgreSQL (as root on Debian 12)
	@VENV=$(abspath $(VENV)) molecule/run.sh molecule test --all

mutations: $(VENV)/.molecule $(VENV)/.test  ## steps taken out of the playbooks: the real hosts' own word tells, or the product refuses (as root)
	$(BIN)/python -m pytest -p no:cacheprovider -vrP --durations=0 --durations-min=1 -m mutations tests/packaging/test_mutations.py

bench: $(VENV)/.bench  ## the red button and the containment, against their floors and rivals; fleets of up to 200 hosts
	$(BIN)/python -m tests.benchmarks.bench
	$(BIN)/python -m tests.benchmarks.fleet

docs: $(VENV)/.docs  ## the documentation, as a site that needs no network: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	$(BIN)/python -m pytest -p no:cacheprovider -m '' tests/packaging/test_docs.py

# Approvals are signed with OpenSSH, which a bare container may not have.
ssh-keygen:
	@command -v ssh-keygen >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -yqq --no-install-recommends openssh-client; } \
	  || { echo "ssh-keygen is missing: install OpenSSH's client (Debian: openssh-client)" >&2; exit 1; }

# One example goes from host to host, through a server of its own.
sshd:
	@PATH="$$PATH:/usr/sbin:/sbin" && command -v sshd >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -yqq --no-install-recommends openssh-server; } \
	  || echo "sshd is missing, so one test is skipped: install OpenSSH's server (Debian: openssh-server)" >&2

# Hosts are isolated, in network namespaces that lead nowhere.
netns:
	@PATH="$$PATH:/usr/sbin:/sbin" && { command -v nft && command -v ip && command -v conntrack; } >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -yqq --no-install-recommends nftables iproute2 conntrack; } \
	  || echo "nft, ip or conntrack is missing, so no host is isolated in the tests: install them (Debian: nftables iproute2 conntrack)" >&2

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp per set of extras, so that a second call installs nothing.
$(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "hft-incident needs Python 3.11 or later; name one: make PYTHON=python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
