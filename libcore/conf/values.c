/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/err.h"
#include "conf/values.h"

#define NS_PER_S 1000000000u
#define DECIMALS_MAX 9 /* a nanosecond */
#define UNIX_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static const struct {
	const char *suffix;
	uint64_t ns;
} units[] = {
    {"", NS_PER_S},
    {"us", 1000},
    {"ms", 1000000},
    {"s", NS_PER_S},
    {"m", 60ull * NS_PER_S},
    {"h", 3600ull * NS_PER_S},
    {"d", 86400ull * NS_PER_S},
};

/* The value of a digit; of anything else, more than any base. */
static unsigned
digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return UINT_MAX;
}

/*
 * Take the digits at the front of *text, at least one, as a number that is not
 * over max.  strtoull is no help: it takes blanks, signs and octal as well.
 */
static int
take_digits(const char **text, unsigned base, uint64_t max, uint64_t *out)
{
	const char *s = *text;
	uint64_t v = 0;

	if (digit(*s) >= base)
		return ERR_BAD;
	for (; digit(*s) < base; s++) {
		if (v > (max - digit(*s)) / base)
			return ERR_BAD;
		v = v * base + digit(*s);
	}
	*text = s;
	*out = v;
	return OK;
}

/* The same for a number that may be hexadecimal. */
static int
take_u32(const char **text, uint32_t *out)
{
	const char *s = *text;
	unsigned base = 10;
	uint64_t v;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		s += 2;
		base = 16;
	}
	if (take_digits(&s, base, UINT32_MAX, &v) != OK)
		return ERR_BAD;
	*text = s;
	*out = (uint32_t)v;
	return OK;
}

int
values_u32(const char *text, uint32_t *out)
{
	uint32_t v;

	if (take_u32(&text, &v) != OK || *text != '\0')
		return ERR_BAD;
	*out = v;
	return OK;
}

int
values_size(const char *text, uint64_t *out)
{
	static const char suffixes[] = "kmgt";
	const char *at;
	unsigned shift = 0;
	uint64_t v;

	if (take_digits(&text, 10, UINT64_MAX, &v) != OK)
		return ERR_BAD;
	if (*text != '\0') {
		if ((at = strchr(suffixes, *text | 0x20)) == NULL)
			return ERR_BAD;
		shift = 10 * (unsigned)(at - suffixes + 1);
		text++;
	}
	if (*text != '\0' || v > UINT64_MAX >> shift)
		return ERR_BAD;
	*out = v << shift;
	return OK;
}

/* What stands after a point, in billionths; finer is malformed. */
static int
take_decimals(const char **text, uint64_t *out)
{
	const char *start = *text;
	uint64_t v;
	size_t n;

	if (take_digits(text, 10, NS_PER_S - 1, &v) != OK)
		return ERR_BAD;
	n = (size_t)(*text - start);
	if (n > DECIMALS_MAX)
		return ERR_BAD;
	for (; n < DECIMALS_MAX; n++)
		v *= 10;
	*out = v;
	return OK;
}

int
values_duration(const char *text, uint64_t *out)
{
	uint64_t whole, unit, part = 0;
	size_t i;

	if (strcmp(text, "forever") == 0) {
		*out = VALUES_FOREVER;
		return OK;
	}
	if (take_digits(&text, 10, UINT64_MAX, &whole) != OK)
		return ERR_BAD;
	if (*text == '.') {
		text++;
		if (take_decimals(&text, &part) != OK)
			return ERR_BAD;
	}
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(text, units[i].suffix) == 0)
			break;
	if (i == sizeof(units) / sizeof(units[0]))
		return ERR_BAD;
	unit = units[i].ns;
	/* in two steps, as a day of billionths is over 64 bits */
	part = unit / NS_PER_S * part + unit % NS_PER_S * part / NS_PER_S;
	if (whole > (VALUES_FOREVER - part) / unit)
		return ERR_BAD;
	*out = whole * unit + part;
	return OK;
}

/* Take "7" or "7-9" off the front of *text. */
static int
take_range(const char **text, struct tag_range *out)
{
	struct tag_range r;

	if (take_u32(text, &r.first) != OK)
		return ERR_BAD;
	r.last = r.first;
	if (**text == '-') {
		++*text;
		if (take_u32(text, &r.last) != OK)
			return ERR_BAD;
	}
	if (r.last < r.first)
		return ERR_BAD;
	*out = r;
	return OK;
}

/*
 * Take the next range of a list off the front of *text; *more says whether
 * another has to follow.
 */
static int
take_item(const char **text, struct tag_range *out, bool *more)
{
	if (take_range(text, out) != OK)
		return ERR_BAD;
	*more = **text == ',';
	if (*more)
		++*text;
	else if (**text != '\0')
		return ERR_BAD;
	return OK;
}

/* The index of the first range that ends at tag or later. */
static size_t
find(const struct tag_set *s, uint32_t tag)
{
	size_t lo = 0, hi = s->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->v[mid].last < tag)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Put r in its place, joined with those it touches; there is room for it. */
static void
insert(struct tag_set *s, struct tag_range r)
{
	size_t i = find(s, r.first > 0 ? r.first - 1 : 0);
	size_t j = i; /* the first range beyond r */

	for (;
	     j < s->n && (r.last == UINT32_MAX || s->v[j].first <= r.last + 1);
	     j++) {
		if (s->v[j].first < r.first)
			r.first = s->v[j].first;
		if (s->v[j].last > r.last)
			r.last = s->v[j].last;
	}
	memmove(&s->v[i + 1], &s->v[j], (s->n - j) * sizeof(s->v[0]));
	s->v[i] = r;
	s->n = s->n - (j - i) + 1;
}

int
tag_set_add(struct tag_set *s, const char *text)
{
	const char *look = text;
	struct tag_range r, *v;
	bool more = true;
	size_t items;

	for (items = 0; more; items++)
		if (take_item(&look, &r, &more) != OK)
			return ERR_BAD;
	if ((v = realloc(s->v, (s->n + items) * sizeof(*v))) == NULL)
		return ERR_NOMEM;
	s->v = v;
	for (; items > 0 && take_item(&text, &r, &more) == OK; items--)
		insert(s, r);
	return OK;
}

bool
tag_set_has(const struct tag_set *s, uint32_t tag)
{
	size_t i = find(s, tag);

	return i < s->n && s->v[i].first <= tag;
}

size_t
tag_set_count(const struct tag_set *s)
{
	uint64_t n = 0; /* never over 2^32, as ranges do not overlap */
	size_t i;

	for (i = 0; i < s->n; i++)
		n += (uint64_t)s->v[i].last - s->v[i].first + 1;
	return n < SIZE_MAX ? (size_t)n : SIZE_MAX;
}

uint32_t
tag_set_at(const struct tag_set *s, size_t i)
{
	const struct tag_range *r = s->v;

	for (;; r++) {
		assert(r < s->v + s->n);
		if (i <= r->last - r->first)
			return r->first + (uint32_t)i;
		i -= (size_t)(r->last - r->first) + 1;
	}
}

void
tag_set_fini(struct tag_set *s)
{
	free(s->v);
	*s = (struct tag_set){0};
}

/* "fe80::1%eth0": the zone is left to getaddrinfo. */
static bool
is_v6(const char *host, size_t len)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr ignored;
	const char *zone = memchr(host, '%', len);

	if (zone != NULL)
		len = (size_t)(zone - host);
	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	return inet_pton(AF_INET6, text, &ignored) == 1;
}

/* Names are the resolver's business; this keeps URLs and typing errors out. */
static bool
is_name(const char *host, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)host[i] <= ' ' || host[i] == 0x7f ||
		    strchr("/@[]?#,:", host[i]) != NULL)
			return false;
	return true;
}

/* ":9000", or nothing: the usual port. */
static int
get_port(const char *text, uint16_t *out)
{
	uint64_t v;

	if (*text == '\0') {
		*out = ENDPOINT_PORT;
		return OK;
	}
	if (*text++ != ':' || take_digits(&text, 10, UINT16_MAX, &v) != OK ||
	    *text != '\0')
		return ERR_BAD;
	*out = (uint16_t)v;
	return OK;
}

/* Where the host of text begins and ends, and what follows it. */
static int
split(const char *text, const char **host, size_t *len, const char **rest)
{
	const char *end;

	if (*text == '[') {
		if ((end = strchr(text, ']')) == NULL)
			return ERR_BAD;
		*host = text + 1;
		*rest = end + 1;
		*len = (size_t)(end - *host);
		return is_v6(*host, *len) ? OK : ERR_BAD;
	}
	*host = text;
	*len = strlen(text);
	if (is_v6(text, *len)) {
		*rest = text + *len;
		return OK;
	}
	*len = strcspn(text, ":");
	*rest = text + *len;
	return *text != '\0' && is_name(text, *len) ? OK : ERR_BAD;
}

static char *
copy_of(const char *text, size_t len)
{
	char *copy;

	if ((copy = malloc(len + 1)) == NULL)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

static int
parse_path(const char *path, struct endpoint *out)
{
	char *copy;

	if (*path == '\0' || strlen(path) > UNIX_PATH_MAX)
		return ERR_BAD;
	if ((copy = copy_of(path, strlen(path))) == NULL)
		return ERR_NOMEM;
	*out = (struct endpoint){.path = copy};
	return OK;
}

int
endpoint_parse(const char *text, struct endpoint *out)
{
	const char *host, *rest;
	uint16_t port;
	size_t len;
	char *copy;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_path(text + 5, out);
	if (split(text, &host, &len, &rest) != OK ||
	    get_port(rest, &port) != OK)
		return ERR_BAD;
	if ((copy = copy_of(host, len)) == NULL)
		return ERR_NOMEM;
	*out = (struct endpoint){.host = copy, .port = port};
	return OK;
}

void
endpoint_fini(struct endpoint *e)
{
	free(e->path);
	free(e->host);
	*e = (struct endpoint){0};
}
