/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"

/* The rest of the text; p stays at the first wrong byte. */
struct scan {
	const uint8_t *p;
	const uint8_t *end;
	unsigned depth;
};

/* The next byte, or a NUL, which is valid nowhere. */
static uint8_t
peek(const struct scan *s)
{
	return s->p < s->end ? *s->p : 0;
}

static bool
take(struct scan *s, uint8_t c)
{
	if (peek(s) != c)
		return false;
	s->p++;
	return true;
}

static void
skip_space(struct scan *s)
{
	while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' ||
	       peek(s) == '\r')
		s->p++;
}

static int
take_word(struct scan *s, const char *word)
{
	for (; *word != '\0'; word++)
		if (!take(s, (uint8_t)*word))
			return ERR_BAD;
	return OK;
}

static int
take_digits(struct scan *s)
{
	if (peek(s) < '0' || peek(s) > '9')
		return ERR_BAD;
	while (peek(s) >= '0' && peek(s) <= '9')
		s->p++;
	return OK;
}

static int
take_number(struct scan *s)
{
	take(s, '-');
	if (!take(s, '0') && take_digits(s) != OK)
		return ERR_BAD;
	if (take(s, '.') && take_digits(s) != OK)
		return ERR_BAD;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		return take_digits(s);
	}
	return OK;
}

/* The four digits after \u. */
static int
take_hex4(struct scan *s, unsigned *out)
{
	unsigned v = 0;
	uint8_t c;
	int i;

	for (i = 0; i < 4; i++) {
		c = peek(s);
		if (c >= '0' && c <= '9')
			v = v * 16 + c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + (c | 0x20u) - 'a' + 10;
		else
			return ERR_BAD;
		s->p++;
	}
	*out = v;
	return OK;
}

/* What follows a backslash. */
static int
take_escape(struct scan *s)
{
	const uint8_t *start = s->p;
	unsigned v;

	if (!take(s, 'u')) {
		if (peek(s) == 0 || strchr("\"\\/bfnrt", peek(s)) == NULL)
			return ERR_BAD;
		s->p++;
		return OK;
	}
	if (take_hex4(s, &v) != OK)
		return ERR_BAD;
	if (v != 0 && (v < 0xd800 || v > 0xdfff))
		return OK;
	if (v >= 0xd800 && v <= 0xdbff && take(s, '\\') && take(s, 'u') &&
	    take_hex4(s, &v) == OK && v >= 0xdc00 && v <= 0xdfff)
		return OK;
	s->p = start;
	return ERR_BAD;
}

/* One character beyond ASCII. */
static int
take_utf8(struct scan *s)
{
	size_t n = utf8_size((struct view){s->p, (size_t)(s->end - s->p)});

	s->p += n;
	return n > 0 ? OK : ERR_BAD;
}

static int
take_string(struct scan *s)
{
	int r = OK;

	if (!take(s, '"'))
		return ERR_BAD;
	while (r == OK && !take(s, '"')) {
		if (take(s, '\\'))
			r = take_escape(s);
		else if (peek(s) < 0x20)
			r = ERR_BAD;
		else if (peek(s) < 0x80)
			s->p++;
		else
			r = take_utf8(s);
	}
	return r;
}

static int take_value(struct scan *s);

/* The inside of an array or an object, whose first byte is taken. */
static int
take_items(struct scan *s, bool keys, uint8_t close)
{
	int r;

	if (s->depth == JSON_DEPTH_MAX)
		return ERR_LIMIT;
	s->depth++;
	skip_space(s);
	if (!take(s, close)) {
		do {
			skip_space(s);
			if (keys) {
				if (take_string(s) != OK)
					return ERR_BAD;
				skip_space(s);
				if (!take(s, ':'))
					return ERR_BAD;
			}
			if ((r = take_value(s)) != OK)
				return r;
		} while (take(s, ','));
		if (!take(s, close))
			return ERR_BAD;
	}
	s->depth--;
	return OK;
}

/* A value and the white space around it. */
static int
take_value(struct scan *s)
{
	int r;

	skip_space(s);
	if (take(s, '{'))
		r = take_items(s, true, '}');
	else if (take(s, '['))
		r = take_items(s, false, ']');
	else if (peek(s) == '"')
		r = take_string(s);
	else if (peek(s) == 't')
		r = take_word(s, "true");
	else if (peek(s) == 'f')
		r = take_word(s, "false");
	else if (peek(s) == 'n')
		r = take_word(s, "null");
	else
		r = take_number(s);
	if (r == OK)
		skip_space(s);
	return r;
}

int
json_check(struct view text, size_t *at)
{
	struct scan s = {.p = text.p, .end = text.p + text.len};
	int r;

	r = take_value(&s);
	if (r == OK && s.p != s.end)
		r = ERR_BAD;
	if (r != OK && at != NULL)
		*at = (size_t)(s.p - text.p);
	return r;
}
