# Compiler flags.  CFLAGS and LDFLAGS stay the user's, and come last.

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
       -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings \
       -Wconversion -Wsign-conversion -Wformat=2 -Wvla -Wundef \
       -Wimplicit-fallthrough

ifdef SAN
O      = build/san
HARD   = -fsanitize=address,undefined -fno-sanitize-recover=all \
         -fno-omit-frame-pointer
LDHARD = -fsanitize=address,undefined
else
O      = build
HARD   = -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
LDHARD = -pie -Wl,-z,relro,-z,now
endif

# Debian 12: the QUIC libraries that scripts/setup put into build/deps.
DEPS = $(wildcard build/deps/prefix/lib/pkgconfig)
PC   = PKG_CONFIG_PATH=$(DEPS):$(PKG_CONFIG_PATH) pkg-config
PKGS = libngtcp2_crypto_ossl libngtcp2 libssl libcrypto libuv libcjson libsodium

ALL_CFLAGS  = -std=c11 -D_GNU_SOURCE -Ilibcore -MMD -MP \
              -ffile-prefix-map=$(CURDIR)=. $(WARN) $(HARD) \
              $(shell $(PC) --cflags $(PKGS)) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(LDHARD) $(LDFLAGS)
LIBS        = $(shell $(PC) --libs $(PKGS)) -pthread
