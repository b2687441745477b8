# What a developer runs. Every target installs the packages that it needs where apt can.
SWIFT ?= swift
# More options for every build, such as BUILD_FLAGS="-j 2".
BUILD_FLAGS ?=

.PHONY: man install api load build test lint demo bench fuzz torture sanitize flips docs packages clean
.NOTPARALLEL:

build: packages
	$(SWIFT) build -c release --product muninn $(BUILD_FLAGS)

# Everything that has to hold before a change is merged; Tests/run.sh lists the stages.
test:
	bash Tests/run.sh

lint:
	bash Tests/lint.sh

# A server, a copy of this machine's own /usr, full and incremental backup, two restores, the proof.
demo:
	bash Tests/demo.sh

bench: packages
	$(SWIFT) build -c release --product muninn-bench $(BUILD_FLAGS)
	"$$($(SWIFT) build -c release --show-bin-path)/muninn-bench" $(BENCH)

# libFuzzer over the kernels and every reader of the format, so many minutes each.
MINUTES ?= 2
fuzz: packages
	MINUTES=$(MINUTES) BUILD_FLAGS="$(BUILD_FLAGS)" bash Tests/Fuzz/run.sh

# Crashes and faults at random calls of every operation, so many minutes; then kill -9 during backups; then writers, a
# restorer and a collector on one repository, killed at random, so many minutes.
torture: packages
	$(SWIFT) build --build-tests --explicit-target-dependency-import-check error $(BUILD_FLAGS)
	MUNINN_TORTURE_SECONDS=$$(($(MINUTES) * 60)) $(SWIFT) test --skip-build --filter SweepTests/torture
	MUNINN="$$($(SWIFT) build --show-bin-path)/muninn" bash Tests/crash.sh
	MUNINN="$$($(SWIFT) build --show-bin-path)/muninn" MINUTES=$(MINUTES) bash Tests/torture.sh

# Disk, store and pipeline under ThreadSanitizer and AddressSanitizer.
sanitize: packages
	BUILD_FLAGS="$(BUILD_FLAGS)" bash Tests/sanitize.sh

# Bits flipped at a thousand random places of each kind of object.
flips: packages
	BUILD_FLAGS="$(BUILD_FLAGS)" bash Tests/flips.sh

docs: packages
	MUNINN_DOCS=1 $(SWIFT) package --scratch-path .build-docs generate-documentation \
		--target Muninn --warnings-as-errors

# The man pages, from the argument parser: .build/plugins/GenerateManual/outputs/MuninnCommand.
man: packages
	$(SWIFT) package plugin generate-manual --multi-page

PREFIX ?= /usr/local
# The program, its man pages, its completions and the systemd unit. DESTDIR is put before every path.
install: build man
	bash Sources/Deploy/install.sh "$$($(SWIFT) build -c release --show-bin-path)" \
		.build/plugins/GenerateManual/outputs/MuninnCommand "$(PREFIX)" "$(DESTDIR)"

# Requests by the thousand, drawn from the server's own description of itself.
api: build
	MUNINN="$$($(SWIFT) build -c release --show-bin-path)/muninn" bash Tests/schemathesis.sh

# 50 file systems, 200 clients, 8 backups at a time, for SECONDS.
SECONDS ?= 600
load: build
	bash Tests/packages.sh load
	MUNINN="$$($(SWIFT) build -c release --show-bin-path)/muninn" \
		python3 Benchmarks/server/load.py --seconds $(SECONDS)

packages:
	bash Tests/packages.sh build

clean:
	rm -rf .build .build-docs .build-fuzz .build-sanitize .build-flips
