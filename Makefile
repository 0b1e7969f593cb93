# Everything needs Go and a C compiler; engines, bench-freshness ENGINE=…, notebooks and compatibility need Python 3.11, Java
# 17 and Maven as well. Every bench-… target, crash, engines and notebooks end with one line, "held: …" or "falls short: …", and
# exit with 0 or 1.
RUNS ?= 200
STEP ?= 1
COMMANDS ?= 1000000
SHELL := bash

.PHONY: build engines engines-short notebooks test race lint demo bench bench-write bench-list bench-asof bench-memory bench-freshness bench-commits bench-large bench-sql bench-steady bench-catalog bench-import bench-short crash engine-kills faults exactly model compatibility bench-isolation bench-export erase flips

build:
	go build -o bin/headlessly ./cmd/headlessly

test:
	go test ./...

race:
	go test -race -timeout 30m ./...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt: the files above are not formatted'; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	cd cmd/bench && go vet ./...

demo:
	go run ./cmd/headlessly demo

bench: bench-write bench-list bench-asof bench-memory bench-freshness bench-commits bench-large bench-sql bench-steady bench-import bench-isolation bench-export
	go test -run '^$$' -bench . ./ingest ./lakehouse ./query

bench-write:
	cd cmd/bench && go run . write

bench-list:
	cd cmd/bench && go run . list

bench-asof: # COMMITS=1000 for a tenth of the commits
	cd cmd/bench && go run . asof -commits $(or $(COMMITS),10000)

bench-memory:
	cd cmd/bench && go run . memory

bench-freshness: # ENGINE=duckdb, pyiceberg, spark or trino: through that engine instead of the metadata on disk
ifdef ENGINE
	go build -o bin/headlessly ./cmd/headlessly && python3 catalog/rest/engines/freshness.py $(ENGINE)
else
	cd cmd/bench && go run . freshness
endif

bench-commits:
	cd cmd/bench && go run . commits

bench-large: bin/extensions # a quarter of an hour and 20 GB; needs pip, for DuckDB's own reader of Iceberg tables
	cd cmd/bench && go run . -extensions ../../bin/extensions large

bin/extensions:
	python3 -m pip download -q --no-deps -d bin/wheels duckdb-extension-avro==1.5.5 duckdb-extension-httpfs==1.5.5 duckdb-extension-iceberg==1.5.5
	for w in bin/wheels/duckdb_extension_*.whl; do python3 -m zipfile -e $$w $@; done

bench-sql: # CONTACTS=10000000 for a large tenant: half an hour
	cd cmd/bench && go run . sql -contacts $(or $(CONTACTS),100000)

bench-import: # 1,000,000 rows, beside DuckDB's COPY
	cd cmd/bench && go run . import

bench-catalog:
	cd cmd/bench && go run . catalog

bench-short:
	cd cmd/bench && go run . all -short

bench-steady: # of memory, over 100,000 queries
	cd cmd/bench && go run . steady

bench-isolation: # of a tenant from ten hostile ones
	cd cmd/bench && go run . isolation

bench-export: # of 1,000,000 rows as Arrow and JSON
	cd cmd/bench && go run . export

engine-kills: # the engine's process, under load
	@mkdir -p bin; set -o pipefail; \
	go test -count=1 -timeout 0 -run '^TestEngineKills$$' -v ./cmd/headlessly -args -kills.runs=$(RUNS) -kills.back=1s 2>&1 | tee bin/kills.log; status=$$?; \
	grep -E '^(held|falls short): ' bin/kills.log | tail -n 1; exit $$status

erase: # a data folder as it is at RUNS seeded steps of erasing a tenant, each started again
	go test -count=1 -timeout 0 -run '^TestErase' -v ./cmd/headlessly/server -args -erase.runs=$(RUNS)

crash:
	@mkdir -p bin; set -o pipefail; \
	go test -count=1 -timeout 0 -run '^TestCrash$$' -v ./cmd/headlessly -args -crash.runs=$(RUNS) 2>&1 | tee bin/crash.log; status=$$?; \
	grep -E '^(held|falls short): ' bin/crash.log | tail -n 1; exit $$status

flips: # one byte of a data folder changed, RUNS times: verify names the file, reads fail or are right, repair restores it
	@mkdir -p bin; set -o pipefail; \
	go test -count=1 -timeout 0 -run '^TestFlips$$' -v ./cmd/headlessly -args -flips.runs=$(RUNS) 2>&1 | tee bin/flips.log; status=$$?; \
	grep -oE '(held|falls short): .*' bin/flips.log | tail -n 1; exit $$status

faults: # every STEP-th operation of log and publisher fails once, in every way; the power is cut at 50 points
	go test -count=1 -timeout 0 -parallel 8 -run '^(TestFailTheNthOperation|TestFullDisk|TestPowerCuts.*)$$' -v ./cmd/headlessly -args -durability.step=$(STEP) -durability.cuts=50

exactly: # seeded runs of publishing and maintenance with a kill, a failing disk, a lost response or another program in each
	go test -count=1 -timeout 0 -run '^TestExactlyOnce$$' -v ./lakehouse -args -exactly.runs=$(RUNS)

model: # random commands against the server and a plain model of it, with restarts, publishing and compaction meanwhile
	go test -count=1 -timeout 0 -run '^TestModel$$' ./cmd/headlessly/server -args -model.commands=$(COMMANDS) -model.look=40

compatibility: # Apache Iceberg's REST compatibility kit against catalog/rest; needs Java 17 and Maven
	go run ./catalog/rest/compatibility

engines: build # DuckDB, PyIceberg, Spark and Trino on a running server: twenty minutes; ENGINES="duckdb spark" for some of them
	python3 catalog/rest/engines/matrix.py $(ENGINES)

engines-short: build # the same with 20 s of reading under writes instead of 3 min
	python3 catalog/rest/engines/matrix.py --short $(ENGINES)

notebooks: build # executes notebooks/*.ipynb on a fresh demo; UPDATE=1 keeps what they put out
	python3 notebooks/run.py $(if $(UPDATE),--update)
