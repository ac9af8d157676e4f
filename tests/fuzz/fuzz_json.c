/* SPDX-License-Identifier: MIT */
/* Fuzzes base/json: any bytes are either refused or give a document whose
 * accessors agree with each other and with the raw member search. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy with exactly the padding that the contract asks for. */
static enum err
fuzz_parse(struct json_doc *d, struct str text, struct json *root)
{
	char *copy = mem_alloc(text.n + JSON_PADDING);
	enum err e;

	memset(copy + text.n, '"', JSON_PADDING);
	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	e = json_parse(d, (struct str){ copy, text.n }, root);
	mem_free(copy);
	return e;
}

static void
fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

static void
fuzz_scalar(struct json v)
{
	struct str s = { NULL, 0 };
	enum json_type type = json_type(v);
	int64_t i;
	double d;
	bool b;

	fuzz_require(json_str(v, &s) == (type == JSON_STRING));
	fuzz_require(json_bool(v, &b) == (type == JSON_BOOL));
	fuzz_require(json_double(v, &d) == (type == JSON_NUMBER));
	fuzz_require(!json_int(v, &i) || (type == JSON_NUMBER && d == (double)i));
	for (size_t k = 0; k < s.n; k++)
		fuzz_require((unsigned char)s.p[k] < 0xf8);
}

static void
fuzz_walk(struct json v, unsigned depth)
{
	struct json_iter it = json_each(v);
	size_t n = 0;

	fuzz_scalar(v);
	fuzz_require(depth <= JSON_MAX_DEPTH);
	for (; json_next(&it); n++) {
		fuzz_require(it.key.n <= JSON_MAX_KEY);
		fuzz_walk(it.value, depth + 1);
	}
	fuzz_require(n == json_size(v));
}

/* json_member_raw finds the very member that json_get finds. */
static void
fuzz_members(struct str text, struct json root, struct json_doc *other)
{
	struct json_iter it = json_each(root);
	struct json got, again;
	struct str member, value;

	if (!it.is_object)
		return;
	while (json_next(&it)) {
		char *key = mem_str(it.key);
		fuzz_require(json_get(root, key, &got));
		fuzz_require(json_member_raw(text, key, &member, &value));
		fuzz_require(member.p >= text.p && value.p > member.p);
		fuzz_require(value.p + value.n == member.p + member.n);
		fuzz_require(fuzz_parse(other, value, &again) == ERR_OK);
		fuzz_require(json_type(again) == json_type(got));
		fuzz_require(json_size(again) == json_size(got));
		mem_free(key);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct json_doc *doc, *other;
	struct str text = { (const char *)data, size };
	struct json root;

	if (doc == NULL) {
		doc = json_doc_new();
		other = json_doc_new();
	}
	if (fuzz_parse(doc, text, &root) == ERR_OK) {
		fuzz_walk(root, 0);
		fuzz_members(text, root, other);
	}
	return 0;
}
