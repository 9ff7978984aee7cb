# SPDX-License-Identifier: ISC
# Compiler flags.  CFLAGS, CPPFLAGS and LDFLAGS stay the user's and come last.
#
#   SAN=1   address and undefined sanitizers, in build/san
#   FUZZ=1  the same with libFuzzer (clang), in build/fuzz; make fuzz sets it
#   LTO=0   no link-time optimisation of the programs (gcc)
#   O=DIR   another folder, below this one

CFLAGS ?= -O2 -g

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
       -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings \
       -Wconversion -Wsign-conversion -Wformat=2 -Wvla -Wundef \
       -Wimplicit-fallthrough

SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=all

ifdef FUZZ
O           = build/fuzz
override CC := clang
HARD        = $(SANITIZERS) -fsanitize=fuzzer-no-link -fno-omit-frame-pointer
LDHARD      = $(SANITIZERS)
else ifdef SAN
O           = build/san
HARD        = $(SANITIZERS) -fno-omit-frame-pointer
LDHARD      = $(SANITIZERS)
else
O           = build
# glibc warns where FORTIFY_SOURCE is asked for without optimisation.
HARD        = -fPIE -fstack-protector-strong $(HARD_$(ARCH)) \
              $(if $(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
LDHARD      = -pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDHARD_$(ARCH))
LTO        ?= $(if $(findstring gcc version,$(shell $(CC) -v 2>&1)),1,0)
endif

ARCH        := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
HARD_x86_64  = -fcf-protection -fstack-clash-protection
HARD_aarch64 = -mbranch-protection=standard

# OpenSSL has 20,000 relocations, read at each start: 0.5 MB less of them.
LDHARD_x86_64 = -Wl,-z,pack-relative-relocs

# What gcc is told that the folder is called, as it writes that into objects:
# the same for all who build, without a name.
HERE = PWD=/proc/self/cwd

# Objects have both, code and what the programs are optimised from as a whole:
# tests link faster without, and can put functions of theirs in the way.
ifeq ($(LTO),1)
OPT         = -flto=auto -ffat-lto-objects -frandom-seed=$@
LDOPT       = -flto=auto $(CFLAGS)
endif

# Where the system's QUIC libraries are too old, scripts/setup has put newer
# ones here.  The path stays relative, so it may have any characters above it.
DEPS = build/deps/prefix
PKGS = libngtcp2_crypto_ossl libngtcp2 libssl libcrypto libuv libcjson libsodium
PC   = PKG_CONFIG_PATH=$(DEPS)/lib/pkgconfig:$$PKG_CONFIG_PATH pkg-config

# Asked once, and only for goals that compile.
ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
PC_CFLAGS := $(shell $(PC) --cflags $(PKGS) || echo missing)
PC_LIBS   := $(shell $(PC) --libs $(PKGS))
PEER_LIBS := $(foreach p,libnats libmosquitto,$(shell pkg-config --exists $p && echo $p))
ifeq ($(lastword $(PC_CFLAGS)),missing)
$(error libraries are missing, as said above: run scripts/setup)
endif
endif

LANGUAGE    = -std=c11 -D_GNU_SOURCE -Ilibcore $(PC_CFLAGS)
ALL_CFLAGS  = $(LANGUAGE) -MMD -MP -ffile-prefix-map=/proc/self/cwd=. \
              $(WARN) $(HARD) $(OPT) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -Wl,--as-needed $(LDHARD) $(LDOPT) $(LDFLAGS)
LIBS        = $(PC_LIBS) -pthread
