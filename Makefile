# `make` lists the targets. Everything is safe to run again: what is there already is left alone.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup engine agent host image whatsapp whatsapp-figures peer run test test-link dist dist-test fmt lint fmt-check clippy doc bench soak chaos clean
# Its steps share two things that take one user at a time: cargo's build directory and the engine.
.NOTPARALLEL:

# Cargo's build directory, here and in every script.
TARGET := $(or $(CARGO_TARGET_DIR),target)
# In CI a lock file that is out of date is an error; elsewhere cargo brings it up to date.
CARGO := cargo
LOCKED := $(if $(CI),--locked)
# The runner works in the image's Debian, whichever system builds it: it brings its own libc. Cargo
# keeps what is built for a named triple apart, so these flags recompile nothing else.
TRIPLE = $(or $(AGENT_TRIPLE),$(shell rustc -vV | sed -n 's/^host: //p'))
AGENT = $(TARGET)/$(TRIPLE)/release/longshore-agent
LONGSHORE = $(TARGET)/release/longshore
# Where `make whatsapp` leaves the adapter.
WHATSAPP = $(TARGET)/release/longshore-whatsapp
# Channel adapters are workspaces of their own.
WORKSPACES := Cargo.toml $(wildcard channels/*/Cargo.toml)

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 12

setup: engine host image ## Install what is missing: Docker Engine, the binaries, the agent image

engine:
	@scripts/engine.sh
	@scripts/base-image.sh

host:
	@$(CARGO) build --release $(LOCKED) -p longshore-host --bin longshore

agent:
	@RUSTFLAGS='-C target-feature=+crt-static' \
	  $(CARGO) build --release $(LOCKED) -p longshore-agent --bin longshore-agent --target $(TRIPLE)

# It compares the image's label with a hash of all that goes in, so an image that is current is kept.
image: engine host agent
	@$(LONGSHORE) image build --agent $(AGENT)

# In a workspace of its own: its binary comes to lie beside the host's, where that looks for it.
whatsapp: ## Build the WhatsApp adapter (ten minutes the first time)
	@$(CARGO) build --release $(LOCKED) -p longshore-whatsapp --bin longshore-whatsapp \
	  --manifest-path channels/whatsapp/Cargo.toml --target-dir $(TARGET)

# Another client for the adapter's tests, where npm is; without it that one test is left out.
peer:
	@if command -v npm >/dev/null; then \
	  npm ci --ignore-scripts --no-audit --no-fund --prefix channels/whatsapp/tests/baileys; \
	fi

run: setup ## Set up, start the host and chat with the main group (in rehearsal when .env has no credentials)
	@$(LONGSHORE) init
	@exec $(LONGSHORE) run --chat main --rehearsal auto

# In the dev profile, though setup has built the dependencies for release: its overflow checks and
# debug assertions are worth having, and each release test binary would be optimised across all
# crates again, which takes longer than compiling the dependencies without optimisation does.
test: setup peer ## Set up and run all tests
	@for manifest in $(WORKSPACES); do $(CARGO) test $(LOCKED) --workspace --manifest-path "$$manifest"; done
	@scripts/dist-test.sh $(LONGSHORE) $(AGENT)

# The adapter goes in if it has been built.
dist: host agent ## Pack a release for this machine into dist/
	@WHATSAPP=$(WHATSAPP) scripts/dist.sh $(LONGSHORE) $(AGENT)

dist-test: setup ## Start a release from its archive, in an empty folder
	@scripts/dist-test.sh $(LONGSHORE) $(AGENT)

# `make test` has a few of these with each link; here all have the one through the engine.
test-link: setup ## The end-to-end tests with containers that reach the broker through the engine
	@LONGSHORE_TEST_LINK=exec $(CARGO) test $(LOCKED) -p longshore-tests --test e2e

fmt: ## Format the sources
	@for manifest in $(WORKSPACES); do $(CARGO) fmt --all --manifest-path "$$manifest"; done

lint: fmt-check clippy doc ## Formatting, clippy and documentation, with warnings as errors

fmt-check:
	@for manifest in $(WORKSPACES); do $(CARGO) fmt --all --check --manifest-path "$$manifest"; done

clippy:
	@for manifest in $(WORKSPACES); do \
	  $(CARGO) clippy $(LOCKED) --workspace --all-targets --manifest-path "$$manifest" -- -D warnings; \
	done

doc:
	@for manifest in $(WORKSPACES); do \
	  RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(LOCKED) --workspace --no-deps --manifest-path "$$manifest"; \
	done

# What these start besides the host.
PLAYERS := --bin longshore-stub-host --bin longshore-traffic

# What measures the adapter is of its workspace, and is not needed for other parts.
BENCH := setup $(if $(filter whatsapp,$(or $(PARTS),whatsapp)),whatsapp whatsapp-figures)
whatsapp-figures:
	@$(CARGO) build --release $(LOCKED) -p longshore-whatsapp-rehearsal --bins --example whatsapp-figures \
	  --manifest-path channels/whatsapp/Cargo.toml --target-dir $(TARGET)

# The figures are those of the release binary that setup made.
bench: $(BENCH) ## Measure: one table, in one run; PARTS="broker turns" for some of it
	@$(CARGO) build --release $(LOCKED) -p longshore-tests $(PLAYERS) --bin longshore-bench
	@LONGSHORE_BIN=$(LONGSHORE) $(TARGET)/release/longshore-bench $(PARTS)

soak: setup ## Ten minutes of traffic on stub containers: does it grow, do the books balance
	@$(CARGO) build --release $(LOCKED) -p longshore-tests $(PLAYERS) --bin longshore-soak
	@LONGSHORE_BIN=$(LONGSHORE) $(TARGET)/release/longshore-soak

chaos: setup ## Kill the host 200 times at random moments: was anything lost or doubled
	@$(CARGO) build --release $(LOCKED) -p longshore-tests $(PLAYERS) --bin longshore-chaos
	@LONGSHORE_BIN=$(LONGSHORE) $(TARGET)/release/longshore-chaos

clean: ## Remove what was built; data, groups and images stay
	@for manifest in $(WORKSPACES); do $(CARGO) clean --manifest-path "$$manifest"; done
