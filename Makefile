# The two commands that matter are `make run` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

build: ## bin/tocsin, the one binary
	go build -trimpath -o bin/tocsin ./cmd/tocsin

run: build ## the main job: 24 newsrooms send to a million simulated phones in the same second
	bin/tocsin demo $(ARGS)

check: ## what every commit passes: format, vet, quick tests (3 minutes at most)
	scripts/check

test: ## everything, as CI runs it (45 minutes at most); installs what it needs when root
	scripts/test

prove: build ## the full counts, resumable, into docs/evidence.md
	scripts/prove

crash: build ## kill -9 at random instants during sends, then judge every ledger
	scripts/crash

bench-send: ## the whole road beside a raw TLS wire and apns2 in one run
	go run ./bench send

bench: ## every figure of docs/performance.md, measured and written there (10 minutes on an idle machine)
	go run ./bench all $(ARGS)

bench-audience: ## 10 M people: import, memory, counts beside PostgreSQL, DuckDB, SQLite; ARGS="--scale 0.01" takes a minute
	scripts/bench-audience $(ARGS)

bench-check: ## fails when a push costs 10 % more processor time than at the commit in PREVIOUS
	scripts/bench-check $(ARGS)

.PHONY: help build run check test prove crash bench-send bench bench-audience bench-check
