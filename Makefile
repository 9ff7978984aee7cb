# SPDX-License-Identifier: ISC
# make help says what can be made.  No configure: see scripts/flags.mk.

PREFIX       ?= /usr/local
FUZZ_SECONDS ?= 30
PROVE        ?= -j2

NO_BUILD = help clean fmt dist uninstall

include scripts/flags.mk

VERSION := $(shell sed -n 's/^\#define OPTS_VERSION "\(.*\)"/\1/p' \
             libcore/conf/opts.h)

# Clients of other systems, for make bench, where scripts/setup --bench has
# brought their libraries: without LIBRARY,TOOL names what cannot be built.
without = $(if $(filter $(1),$(PEER_LIBS)),,tests/tools/$(2).c)

LIB_SRC  := $(sort $(wildcard libcore/*/*.c))
CMD_SRC  := $(sort $(wildcard cmd/*/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/*.c))
TOOL_SRC := $(filter-out $(call without,libnats,natspeer) \
              $(call without,libmosquitto,mqttpeer), \
              $(sort $(wildcard tests/tools/*.c)))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
COMM_SRC := $(sort $(wildcard tests/tools/common/*.c))
SRC      := $(LIB_SRC) $(CMD_SRC) $(UNIT_SRC) $(TOOL_SRC) $(COMM_SRC) \
            $(sort $(wildcard tests/fuzz/*.c))

LIB     := $(O)/libcore.a
NAMES   := $(notdir $(patsubst %/,%,$(dir $(wildcard cmd/*/main.c))))
BINS    := $(NAMES:%=$(O)/bin/%)
UNITS   := $(patsubst %.c,$(O)/%,$(filter %_test.c,$(UNIT_SRC)))
TOOLS   := $(TOOL_SRC:%.c=$(O)/%)
FUZZERS := $(FUZZ_SRC:%.c=$(O)/%)

# What units share, and the allocators that tests/unit/faults.h lets fail.
UNIT_OBJ := $(patsubst %.c,$(O)/%.o,$(filter-out %_test.c,$(UNIT_SRC)))

# V=1 shows the commands, -s not even the names.
Q   = $(if $(filter 1,$(V)),,@)
say = $(if $(Q),$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,@printf '%-6s %s\n' $(1) $(2)))

all: $(LIB) $(BINS)      ## the programs, in build/bin

units: $(UNITS) $(TOOLS) $(FUZZERS) ## what make check runs, without running it

# Objects are made again when the compiler, a flag or a library changes.
$(O)/flags: FORCE | $(O)
	$(file >$@.new,$(CC) $(ALL_CFLAGS) / $(ALL_LDFLAGS) / $(LIBS))
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(O):
	@mkdir -p $@

$(O)/%.o: %.c $(O)/flags $(wildcard $(DEPS)/.complete)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(HERE) $(CC) $(ALL_CFLAGS) -c -o $@ $<

$(LIB): $(LIB_SRC:%.c=$(O)/%.o)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcD $@ $^

define program
$(O)/bin/$(1): $(patsubst %.c,$(O)/%.o,$(wildcard cmd/$(1)/*.c)) $(LIB)
endef
$(foreach t,$(NAMES),$(eval $(call program,$(t))))

$(UNITS): %: %.o $(UNIT_OBJ) $(LIB)
$(UNITS): private LIBS += -lcmocka -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

# What tools share.  The peers' libraries bring the system's OpenSSL, which may
# not be mixed with ours.
$(TOOLS): %: %.o $(COMM_SRC:%.c=$(O)/%.o) $(LIB)
$(O)/tests/tools/natspeer: private LIBS = -lnats -luv -pthread
$(O)/tests/tools/mqttpeer: private LIBS = -lmosquitto -luv -pthread

$(UNITS) $(TOOLS) $(FUZZERS): private LDOPT = -fno-lto

# Without libFuzzer a target has a main() that runs it on its corpus.
ifdef FUZZ
$(FUZZERS): %: %.o $(LIB)
$(FUZZERS): private LIBS += -fsanitize=fuzzer
else
$(FUZZERS): %: %.o $(O)/tests/fuzz/replay.o $(LIB)
endif

$(BINS) $(UNITS) $(TOOLS) $(FUZZERS):
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(HERE) $(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# -- tests --

# What every test is told: where it finds the programs and its own helpers.
TEST_ENV = BIN="$(CURDIR)/$(O)/bin" TOOLS="$(CURDIR)/$(O)/tests/tools" \
           TOP="$(CURDIR)" CMOCKA_MESSAGE_OUTPUT=TAP \
           UBSAN_OPTIONS="print_stacktrace=1:$$UBSAN_OPTIONS"

# make check T=tests/e2e/0001-relay.t runs only that.
T ?= $(UNITS) $(FUZZERS) $(sort $(wildcard tests/e2e/*.t))

check: all units         ## unit and end-to-end tests (T=FILES: only these)
	$(Q)$(TEST_ENV) prove -e scripts/run-test $(PROVE) $(T)

# What the sanitizers of gcc do not see: the use of bytes that nobody wrote.
# Not the tests that run themselves anew, which valgrind cannot follow, nor the
# one that needs pidfd_open, which it does not know.
MEMCHECK = -q --error-exitcode=99 --suppressions=tests/unit/valgrind.supp

memcheck: units          ## unit tests under valgrind
	$(Q)$(TEST_ENV) VALGRIND_OPTS='$(MEMCHECK)' \
	    prove -e 'scripts/run-test valgrind' $(PROVE) \
	    $(filter-out %/child_test %/opts_test %/tls_test,$(UNITS))

fuzz:                    ## each fuzz target for FUZZ_SECONDS=30 (clang)
	$(Q)$(MAKE) --no-print-directory FUZZ=1 fuzz-programs
	$(Q)scripts/fuzz $(FUZZ_SECONDS) $(FUZZ_SRC:%.c=build/fuzz/%)

fuzz-programs: $(FUZZERS)

bench: all $(TOOLS)      ## ours beside others': tests/bench/README.md
	$(Q)command -v python3 >/dev/null || \
	    { echo 'bench: no python3 here: scripts/setup --bench'; exit 1; }
	$(Q)$(TEST_ENV) tests/bench/run

interop: all units       ## against YoMo's Go SDK, in every role
	$(Q)$(TEST_ENV) tests/interop/run

# -- lint --

# make lint goes on after a failure, so that one run shows all there is.
LINTS := format layers banned symbols headers scripts man tidy
TIDY  := $(SRC:%.c=build/tidy/%)

lint: $(LIB)             ## every rule that a program can check
	$(Q)$(MAKE) --no-print-directory -k $(LINTS:%=lint-%)

lint-format lint-layers lint-banned lint-scripts lint-man: lint-%:
	$(Q)scripts/check-$*

lint-symbols:
	$(Q)scripts/check-symbols $(O)

lint-headers:
	$(Q)CC='$(CC)' scripts/check-headers $(LANGUAGE) $(WARN)

lint-tidy: $(TIDY)
	@:

# The object stands for all headers that the source includes.
build/tidy/%: %.c $(O)/%.o .clang-tidy tests/.clang-tidy
	$(call say,TIDY,$<)
	@mkdir -p $(@D)
	$(Q)clang-tidy --quiet $< -- -isystem scripts/tidy $(LANGUAGE) $(WARN) \
	    >$@.out 2>&1 || \
	    { sed 's|^$(CURDIR)/||; / warnings* generated/d' $@.out; exit 1; }
	@mv $@.out $@

fmt:                     ## format the sources (clang-format)
	$(Q)scripts/check-format --fix

# -- shipping --


# What is installed: from:to:mode, to being below PREFIX.
FILES = $(foreach f,$(BINS),$(f):bin/$(notdir $(f)):755) \
        $(foreach f,$(wildcard man/*.[1-9]),\
          $(f):share/man/man$(patsubst .%,%,$(suffix $(f)))/$(notdir $(f)):644) \
        $(foreach n,$(NAMES),scripts/completion/yomo.bash:$(strip \
          share/bash-completion/completions/$(n):644)) \
        scripts/completion/_yomo:share/zsh/site-functions/_yomo:644 \
        $(foreach f,$(wildcard scripts/systemd/*.service),\
          $(f):lib/systemd/system/$(notdir $(f)):644)

# Units name the programs by their place, which PREFIX changes.
install: all             ## into PREFIX=/usr/local, below DESTDIR=
	$(Q)for f in $(FILES); do \
	    echo "$$f" | { IFS=: read -r from to mode && \
	    to="$(DESTDIR)$(PREFIX)/$$to" && \
	    install -D -m "$$mode" "$$from" "$$to" && \
	    case $$to in *.service) \
	        sed -i 's|/usr/local/bin/|$(PREFIX)/bin/|g' "$$to" ;; \
	    esac; } || exit; done

uninstall:               ## take away what install put there
	$(Q)for f in $(FILES); do \
	    echo "$$f" | { IFS=: read -r from to mode && \
	    rm -f "$(DESTDIR)$(PREFIX)/$$to"; } || exit; done

dist:                    ## build/yomo-VERSION.tar.gz of the last commit
	$(Q)scripts/dist $(VERSION)

clean:                   ## all that was built; the libraries of setup stay
	$(Q)find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +

help:                    ## this text
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' \
	    Makefile
	@sed -n 's/^#   /     /p' scripts/flags.mk

-include $(SRC:%.c=$(O)/%.d)
.PHONY: all units check memcheck fuzz fuzz-programs bench interop lint $(LINTS:%=lint-%) \
        fmt install uninstall dist clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:
