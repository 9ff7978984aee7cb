# make help says what can be made.  No configure: see scripts/flags.mk.

PREFIX ?= /usr/local
CC     ?= cc
CFLAGS ?= -O2 -g

include scripts/flags.mk

LIB_SRC := $(sort $(wildcard libcore/*/*.c))
TOOLS   := $(notdir $(patsubst %/,%,$(dir $(wildcard cmd/*/main.c))))
UNITS   := $(patsubst tests/unit/%.c,$(O)/tests/unit/%,$(wildcard tests/unit/*_test.c))
LIB     := $(O)/libcore.a
BINS    := $(TOOLS:%=$(O)/bin/%)

all: $(BINS)

units: $(UNITS)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(LIB): $(LIB_SRC:%.c=$(O)/%.o)
	rm -f $@
	$(AR) rcD $@ $^

define tool
$(O)/bin/$(1): $(patsubst %.c,$(O)/%.o,$(wildcard cmd/$(1)/*.c)) $(LIB)
endef
$(foreach t,$(TOOLS),$(eval $(call tool,$(t))))

# What units share, tests/unit/*.c, and the allocators for tests/unit/faults.h.
UNIT_AID := $(filter-out %_test.c,$(wildcard tests/unit/*.c))
$(UNITS): %: %.o $(UNIT_AID:%.c=$(O)/%.o) $(LIB)
$(UNITS): LIBS += -lcmocka -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

$(BINS) $(UNITS):
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

check: $(BINS) $(UNITS)
	CMOCKA_MESSAGE_OUTPUT=TAP BIN="$(CURDIR)/$(O)/bin" \
	    prove $(PROVE) $(UNITS) $(wildcard tests/e2e/*.t)

clean:
	rm -rf build/bin build/san build/libcore build/cmd build/tests build/libcore.a

-include $(shell find build -name '*.d' 2>/dev/null)
.PHONY: all units check clean
