/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>

#include "unit.h"
#include "vectors.h"

#define PATH "tests/unit/vectors/yomo-v1.22.json"
#define FILE_MAX (1u << 20)

cJSON *
vectors_load(void)
{
	char *text;
	size_t len;
	cJSON *all;
	FILE *f;

	if ((f = fopen(PATH, "r")) == NULL)
		fail_msg("cannot open '%s': run from the top folder", PATH);
	assert_non_null(text = malloc(FILE_MAX));
	len = fread(text, 1, FILE_MAX, f);
	fclose(f);
	all = cJSON_ParseWithLength(text, len);
	free(text);
	assert_non_null(all);
	return all;
}

const cJSON *
vectors_group(const cJSON *all, const char *name)
{
	const cJSON *group = cJSON_GetObjectItemCaseSensitive(all, name);

	assert_true(cJSON_IsArray(group));
	assert_true(cJSON_GetArraySize(group) > 0);
	return group;
}

const char *
vectors_text(const cJSON *item, const char *key)
{
	return cJSON_GetStringValue(
	    cJSON_GetObjectItemCaseSensitive(item, key));
}

struct view
vectors_unhex(const char *hex, uint8_t *out, size_t cap)
{
	unsigned byte;
	size_t n;

	assert_non_null(hex);
	for (n = 0; hex[2 * n] != '\0'; n++) {
		assert_true(n < cap);
		assert_int_equal(sscanf(hex + 2 * n, "%2x", &byte), 1);
		out[n] = (uint8_t)byte;
	}
	return (struct view){out, n};
}

void
vectors_same(struct view got, struct view want, const char *name)
{
	size_t i;

	for (i = 0; i < got.len && i < want.len && got.p[i] == want.p[i]; i++)
		;
	if (got.len != want.len || i < want.len)
		fail_msg("%s: differs at byte %zu; %zu bytes, want %zu",
		    name != NULL ? name : "unnamed", i, got.len, want.len);
}
