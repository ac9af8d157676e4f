/* SPDX-License-Identifier: MIT */
/* adapter: see adapter.h. */
#include "flow/adapter.h"

#include "base/jsonw.h"

#define ADAPTER_DOCS "https://docs.google.com/document/"

static const char *const adapter_old_keys[] = {
	"event-type", "org.mitros.writing-analytics", "teacher-tag", "user-tag",
	"process-server", "unique-id", "generated-id", "local-storage", "wa-source",
	"background-page", "client-page", "stream-test-script", "character-count",
	"total-time-on-task", "summary-stats", "student-data",
	"org.mitros.dynamic-assessment", "da-guest",
};

static bool
adapter_has_dash(struct str s)
{
	return s.n > 0 && memchr(s.p, '-', s.n) != NULL;
}

static bool
adapter_is_old_key(struct str key)
{
	if (!adapter_has_dash(key))
		return false;
	for (size_t i = 0; i < sizeof adapter_old_keys / sizeof *adapter_old_keys; i++)
		if (str_is(key, adapter_old_keys[i]))
			return true;
	return false;
}

/* A source that is too long stays as it is and is refused later. */
static bool
adapter_is_old_source(struct str key, struct json value)
{
	struct str source;

	return str_eq(key, STR_LIT("source")) && json_str(value, &source) &&
	    source.n <= ADAPTER_SOURCE_MAX && adapter_has_dash(source);
}

bool
adapter_is_old(struct str key, struct json value)
{
	return adapter_is_old_key(key) || adapter_is_old_source(key, value);
}

static struct str
adapter_underscores(struct str s, char *out)
{
	for (size_t i = 0; i < s.n; i++)
		out[i] = s.p[i] == '-' ? '_' : s.p[i];
	return (struct str){ out, s.n };
}

struct str
adapter_key(struct str key, char *out)
{
	return adapter_is_old_key(key) ? adapter_underscores(key, out) : key;
}

void
adapter_member(struct buf *out, struct str key, struct json value, const struct json_raw *raw)
{
	char spelling[ADAPTER_SOURCE_MAX > JSON_MAX_KEY ? ADAPTER_SOURCE_MAX : JSON_MAX_KEY];
	struct jsonw w = jsonw_to(out);
	struct str source;

	if (adapter_is_old_key(key)) {
		jsonw_str(&w, adapter_underscores(key, spelling));
		buf_byte(out, ':');
		buf_str(out, raw->value);
	} else if (adapter_is_old_source(key, value) && json_str(value, &source)) {
		buf_z(out, "\"source\":");
		jsonw_str(&w, adapter_underscores(source, spelling));
	} else {
		buf_str(out, raw->member);
	}
}

/* ---- documents ---- */

static bool
adapter_id_ok(struct str id)
{
	return id.n > 0 && id.n <= ADAPTER_DOC_ID_MAX;
}

bool
adapter_doc_id(struct json doc_id, struct buf *scratch, struct str *out)
{
	struct jsonw w = jsonw_to(scratch);
	struct str text;
	double number;
	int64_t whole;

	if (json_str(doc_id, &text)) {
		*out = text;
		return adapter_id_ok(text);
	}
	if (!json_double(doc_id, &number) || number == 0)
		return false;
	buf_clear(scratch);
	if (json_int(doc_id, &whole))
		jsonw_int(&w, whole);
	else
		jsonw_double(&w, number);
	*out = buf_view(scratch);
	return true;
}

/* Steps over prefix at the start of *s. */
static bool
adapter_skip(struct str *s, const char *prefix)
{
	size_t n = strlen(prefix);

	if (!str_starts(*s, prefix))
		return false;
	s->p += n;
	s->n -= n;
	return true;
}

/* https://docs.google.com/document/d/ID/edit, or with u/0/ before d/ for people
 * signed in to several accounts. */
static bool
adapter_url_doc_id(struct str url, struct str *id)
{
	if (!adapter_skip(&url, ADAPTER_DOCS))
		return false;
	if (adapter_skip(&url, "u/")) {
		while (url.n > 0 && *url.p >= '0' && *url.p <= '9') {
			url.p++;
			url.n--;
		}
		if (!adapter_skip(&url, "/"))
			return false;
	}
	if (!adapter_skip(&url, "d/"))
		return false;
	*id = (struct str){ url.p, 0 };
	while (id->n < url.n && memchr("/?#", url.p[id->n], 3) == NULL)
		id->n++;
	return adapter_id_ok(*id);
}

bool
adapter_object_doc_id(struct json object, struct str *out)
{
	struct str url, from_url, own;

	if (!json_get_str(object, "url", &url) || !adapter_url_doc_id(url, &from_url))
		return false;
	*out = json_get_str(object, "id", &own) && adapter_id_ok(own) ? own : from_url;
	return true;
}
