/* SPDX-License-Identifier: MIT */
/* json: the C face of simdjson, and the only file that knows it. Built with
 * -fno-exceptions -fno-rtti; nothing here throws. */
#include "base/json.h"

#include <cstdlib>
#include <new>

#include <simdjson.h>

#include "base/json_repair.h"
extern "C" {
#include "base/mem.h"
}

namespace {

using simdjson::dom::document;
using simdjson::internal::JSON_COUNT_MASK;
using simdjson::internal::JSON_VALUE_MASK;
using simdjson::internal::tape_ref;
using simdjson::internal::tape_type;

static_assert(JSON_PADDING >= simdjson::SIMDJSON_PADDING, "json.h promises too little");

/* simdjson refuses a scalar or a filled container at this depth; an empty
 * container gets past it, which json_check_limits knows. */
constexpr size_t parser_depth = JSON_MAX_DEPTH + 1;
constexpr size_t first_capacity = 16 * 1024;
/* Memory per byte of text: tape 8, structural indexes 4, strings 5/3. */
constexpr size_t memory_per_byte = 14;

} // namespace

struct json_doc {
	simdjson::dom::parser parser;
};

/* The values are read straight off simdjson's tape: dom::element is this same
 * tape_ref behind a private constructor, so nothing could turn {doc, at} back
 * into one, and its checked accessors would cost a second look at the type. */
static inline tape_ref
json_ref(struct json v)
{
	return tape_ref(static_cast<const document *>(v.doc), v.at);
}

static inline tape_type
json_word_type(uint64_t word)
{
	return static_cast<tape_type>(word >> 56);
}

/* Of a word that opens an object: its members. */
static inline uint32_t
json_word_count(uint64_t word)
{
	return static_cast<uint32_t>(word >> 32) & JSON_COUNT_MASK;
}

static inline struct str
json_ref_str(const tape_ref &r)
{
	return { r.get_c_str(), r.get_string_length() };
}

static bool
json_resize(struct json_doc *d, size_t capacity)
{
	return d->parser.doc.allocate(capacity) == simdjson::SUCCESS &&
	    d->parser.allocate(capacity, parser_depth) == simdjson::SUCCESS;
}

struct json_doc *
json_doc_new(void)
{
	struct json_doc *d = new (mem_alloc(sizeof *d)) json_doc;

	if (!json_resize(d, first_capacity))
		std::abort();
	return d;
}

void
json_doc_free(struct json_doc *d)
{
	if (d == nullptr)
		return;
	d->~json_doc();
	mem_free(d);
}

void
json_doc_trim(struct json_doc *d, size_t keep)
{
	size_t want = keep / memory_per_byte;

	if (want < first_capacity)
		want = first_capacity;
	if (d->parser.capacity() > want && !json_resize(d, want))
		std::abort();
}

/* Room for a text of n bytes; doubles, so that slowly growing texts do not
 * allocate each time. */
static bool
json_reserve(struct json_doc *d, size_t n)
{
	size_t capacity = d->parser.capacity();

	if (n <= capacity)
		return true;
	if (n > simdjson::SIMDJSON_MAXSIZE_BYTES / 2)
		return false;
	if (capacity < first_capacity)
		capacity = first_capacity;
	while (capacity < n)
		capacity *= 2;
	return json_resize(d, capacity);
}

static enum err
json_check_key(const uint8_t *string)
{
	uint32_t n;

	memcpy(&n, string, sizeof n);
	if (n > JSON_MAX_KEY)
		return ERR_KEY_TOO_LONG;
	string += sizeof n;
	for (uint32_t i = 0; i < n; i++) /* keys are short: faster than memchr */
		if (string[i] == '\0')
			return ERR_BAD_KEY;
	return ERR_OK;
}

/* One walk along the tape, from the first value to the closing root word: a
 * third of the cost of a parse, so it reads the words itself. `kinds` has a
 * bit per open container, 1 for an object, innermost lowest. */
static enum err
json_check_limits(const document *doc)
{
	const uint64_t *word = &doc->tape[1];
	const uint8_t *strings = doc->string_buf.get();
	uint64_t kinds = 0;
	unsigned depth = 0;

	static_assert(JSON_MAX_DEPTH < 64, "kinds has a bit per level");
	for (;; word++) {
		tape_type type = json_word_type(*word);

		if (type == tape_type::STRING && (kinds & 1) != 0) {
			if (enum err e = json_check_key(strings + (*word & JSON_VALUE_MASK)))
				return e;
			type = json_word_type(*++word);
		}
		switch (type) {
		case tape_type::START_OBJECT:
		case tape_type::START_ARRAY:
			if (++depth > JSON_MAX_DEPTH)
				return ERR_TOO_DEEP;
			kinds = kinds << 1 | (type == tape_type::START_OBJECT);
			if ((kinds & 1) != 0 && json_word_count(*word) > JSON_MAX_MEMBERS)
				return ERR_TOO_MANY_MEMBERS;
			break;
		case tape_type::END_OBJECT:
		case tape_type::END_ARRAY:
			depth--;
			kinds >>= 1;
			break;
		case tape_type::INT64:
		case tape_type::UINT64:
		case tape_type::DOUBLE:
			word++; /* the number itself */
			break;
		case tape_type::ROOT:
			return ERR_OK;
		default:
			break;
		}
	}
}

static simdjson::error_code
json_parse_once(struct json_doc *d, struct str text)
{
	return d->parser.parse(text.p, text.n, false).error();
}

static simdjson::error_code
json_parse_repaired(struct json_doc *d, struct str text, simdjson::error_code was)
{
	char *copy = static_cast<char *>(mem_alloc(text.n + JSON_PADDING));

	memset(copy + text.n, 0, JSON_PADDING);
	if (json_repair(text, copy) > 0)
		was = json_parse_once(d, { copy, text.n });
	mem_free(copy);
	return was;
}

enum err
json_parse(struct json_doc *d, struct str text, struct json *root)
{
	simdjson::error_code e;

	if (!json_reserve(d, text.n))
		return ERR_FULL;
	e = json_parse_once(d, text);
	if (e == simdjson::STRING_ERROR || e == simdjson::NUMBER_ERROR)
		e = json_parse_repaired(d, text, e);
	if (e == simdjson::DEPTH_ERROR)
		return ERR_TOO_DEEP;
	if (e != simdjson::SUCCESS)
		return e == simdjson::MEMALLOC ? ERR_FULL : ERR_BAD_JSON;
	*root = { &d->parser.doc, 1 };
	return json_check_limits(&d->parser.doc);
}

enum json_type
json_type(struct json v)
{
	switch (json_ref(v).tape_ref_type()) {
	case tape_type::START_OBJECT:
		return JSON_OBJECT;
	case tape_type::START_ARRAY:
		return JSON_ARRAY;
	case tape_type::STRING:
		return JSON_STRING;
	case tape_type::TRUE_VALUE:
	case tape_type::FALSE_VALUE:
		return JSON_BOOL;
	case tape_type::NULL_VALUE:
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

static bool
json_find(struct json v, struct str key, struct json *out)
{
	tape_ref r = json_ref(v);
	size_t end;

	if (r.tape_ref_type() != tape_type::START_OBJECT)
		return false;
	end = r.matching_brace_index() - 1;
	for (r.json_index++; r.json_index < end; r.json_index = r.after_element()) {
		bool found = r.get_string_length() == key.n &&
		    memcmp(r.get_c_str(), key.p, key.n) == 0;
		r.json_index++;
		if (found) {
			*out = { v.doc, r.json_index };
			return true;
		}
	}
	return false;
}

bool
json_get(struct json v, const char *key, struct json *out)
{
	return json_find(v, str_of(key), out);
}

bool
json_path(struct json v, const char *path, struct json *out)
{
	const char *dot;

	while ((dot = strchr(path, '.')) != nullptr) {
		if (!json_find(v, { path, static_cast<size_t>(dot - path) }, &v))
			return false;
		path = dot + 1;
	}
	return json_get(v, path, out);
}

bool
json_str(struct json v, struct str *out)
{
	tape_ref r = json_ref(v);

	if (r.tape_ref_type() != tape_type::STRING)
		return false;
	*out = json_ref_str(r);
	return true;
}

bool
json_int(struct json v, int64_t *out)
{
	tape_ref r = json_ref(v);

	/* simdjson uses UINT64 only for what does not fit int64_t. */
	if (r.tape_ref_type() != tape_type::INT64)
		return false;
	*out = r.next_tape_value<int64_t>();
	return true;
}

bool
json_double(struct json v, double *out)
{
	tape_ref r = json_ref(v);

	switch (r.tape_ref_type()) {
	case tape_type::DOUBLE:
		*out = r.next_tape_value<double>();
		return true;
	case tape_type::INT64:
		*out = static_cast<double>(r.next_tape_value<int64_t>());
		return true;
	case tape_type::UINT64:
		*out = static_cast<double>(r.next_tape_value<uint64_t>());
		return true;
	default:
		return false;
	}
}

bool
json_bool(struct json v, bool *out)
{
	tape_type type = json_ref(v).tape_ref_type();

	if (type != tape_type::TRUE_VALUE && type != tape_type::FALSE_VALUE)
		return false;
	*out = type == tape_type::TRUE_VALUE;
	return true;
}

bool
json_get_str(struct json v, const char *key, struct str *out)
{
	struct json member;

	return json_get(v, key, &member) && json_str(member, out);
}

struct json_iter
json_each(struct json v)
{
	struct json_iter it = {};
	tape_ref r = json_ref(v);
	tape_type type = r.tape_ref_type();

	it.doc = v.doc;
	it.is_object = type == tape_type::START_OBJECT;
	if (it.is_object || type == tape_type::START_ARRAY) {
		it.at = v.at + 1;
		it.end = r.matching_brace_index() - 1;
	}
	return it;
}

bool
json_next(struct json_iter *it)
{
	if (it->at >= it->end)
		return false;
	if (it->is_object) {
		it->key = json_ref_str(json_ref({ it->doc, it->at }));
		it->at++;
	}
	it->value = { it->doc, it->at };
	it->at = json_ref(it->value).after_element();
	return true;
}

size_t
json_size(struct json v)
{
	enum json_type type = json_type(v);

	return type == JSON_OBJECT || type == JSON_ARRAY ? json_ref(v).scope_count() : 0;
}
