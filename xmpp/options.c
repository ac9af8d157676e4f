/* SPDX-License-Identifier: MIT */
/* options: one table row per field: how it is read and how it is written. */
#include "xmpp/options.h"

#include <stdio.h>
#include <string.h>

#include "base/datetime.h"
#include "xmpp/form.h"

static const struct {
	const char *value, *label;
} options_shows[] = {
#define SHOW_ROW(sym, value, label) { value, label },
	SHOW_MAP(SHOW_ROW)
#undef SHOW_ROW
};

enum show
show_read(const char *text)
{
	for (size_t i = 0; i < SHOWS; i++)
		if (strcmp(options_shows[i].value, text) == 0)
			return (enum show)i;
	return SHOW_ONLINE;
}

/* ---- reading ---- */

struct options_reading {
	struct options *o;
	int64_t now_us;
	unsigned seen; /* bits by row of the table */
};

static bool
options_read_deliver(struct options_reading *r, const struct xml *field)
{
	return form_bool(form_single(field), &r->o->deliver);
}

static bool
options_read_digest(struct options_reading *r, const struct xml *field)
{
	return form_bool(form_single(field), &r->o->digest);
}

static bool
options_read_body(struct options_reading *r, const struct xml *field)
{
	return form_bool(form_single(field), &r->o->body);
}

static bool
options_read_frequency(struct options_reading *r, const struct xml *field)
{
	const char *text = form_single(field);
	size_t n = strlen(text);
	uint32_t ms = 0;

	if (n < 1 || n > 8 || strspn(text, "0123456789") != n)
		return false;
	for (; *text != '\0'; text++)
		ms = 10 * ms + (uint32_t)(*text - '0');
	r->o->frequency_ms = ms;
	return ms <= OPTIONS_FREQUENCY_MAX;
}

static bool
options_read_expire(struct options_reading *r, const struct xml *field)
{
	const char *text = form_single(field);

	r->o->presence = strcmp(text, "presence") == 0;
	r->o->expire_us = 0;
	if (r->o->presence || text[0] == '\0')
		return true;
	return datetime_read(text, &r->o->expire_us) && r->o->expire_us > r->now_us;
}

/* None at all would be another way to say pubsub#deliver 0. */
static bool
options_read_shows(struct options_reading *r, const struct xml *field)
{
	const struct xml *value = form_values(field);
	unsigned shows = 0;

	for (; value != NULL; value = form_more(value)) {
		enum show show = show_read(value->text.p);

		if (strcmp(options_shows[show].value, value->text.p) != 0)
			return false;
		shows |= 1u << show;
	}
	r->o->shows = shows;
	return shows != 0;
}

/* ---- writing ---- */

static void
options_write_deliver(struct xmlw *w, const struct options *o, bool to_fill)
{
	(void)to_fill;
	form_value(w, o->deliver ? "1" : "0");
}

static void
options_write_digest(struct xmlw *w, const struct options *o, bool to_fill)
{
	(void)to_fill;
	form_value(w, o->digest ? "1" : "0");
}

static void
options_write_body(struct xmlw *w, const struct options *o, bool to_fill)
{
	(void)to_fill;
	form_value(w, o->body ? "1" : "0");
}

static void
options_write_frequency(struct xmlw *w, const struct options *o, bool to_fill)
{
	char text[16];

	(void)to_fill;
	snprintf(text, sizeof text, "%u", (unsigned)o->frequency_ms);
	form_value(w, text);
}

static void
options_write_expire(struct xmlw *w, const struct options *o, bool to_fill)
{
	char date[DATETIME_SIZE];

	(void)to_fill;
	if (o->presence) {
		form_value(w, "presence");
	} else if (o->expire_us != 0) {
		datetime_write(o->expire_us, date);
		form_value(w, date);
	}
}

static void
options_write_shows(struct xmlw *w, const struct options *o, bool to_fill)
{
	for (size_t i = 0; to_fill && i < SHOWS; i++)
		form_option(w, options_shows[i].value, options_shows[i].label);
	for (size_t i = 0; i < SHOWS; i++)
		if (o->shows & 1u << i)
			form_value(w, options_shows[i].value);
}

/* ---- fields ---- */

enum {
	OPTIONS_DIGEST = 1,
	OPTIONS_FREQUENCY = 2
};

static const struct options_field {
	const char *var, *type, *label;
	bool (*read)(struct options_reading *r, const struct xml *field);
	void (*write)(struct xmlw *w, const struct options *o, bool to_fill);
	bool several; /* values */
} options_fields[] = {
	{ "pubsub#deliver", "boolean", "Receive notifications", options_read_deliver,
	    options_write_deliver, false },
	[OPTIONS_DIGEST] = { "pubsub#digest", "boolean", "Gather notifications into digests",
	    options_read_digest, options_write_digest, false },
	[OPTIONS_FREQUENCY] = { "pubsub#digest_frequency", "text-single",
	    "Least milliseconds between two digests", options_read_frequency,
	    options_write_frequency, false },
	{ "pubsub#expire", "text-single", "End of the subscription: a date, or \"presence\"",
	    options_read_expire, options_write_expire, false },
	{ "pubsub#include_body", "boolean", "A sentence for people with each notification",
	    options_read_body, options_write_body, false },
	{ "pubsub#show-values", "list-multi", "Presence in which notifications are received",
	    options_read_shows, options_write_shows, true },
};

#define OPTIONS_FIELDS (sizeof options_fields / sizeof *options_fields)

static bool
options_read_field(struct options_reading *r, const struct xml *field)
{
	const char *var = xml_attr(field, "var");

	if (strcmp(var, "FORM_TYPE") == 0)
		return true;
	for (size_t i = 0; i < OPTIONS_FIELDS; i++) {
		const struct options_field *f = &options_fields[i];

		if (strcmp(var, f->var) != 0)
			continue;
		if ((r->seen & 1u << i) || (!f->several && form_single(field) == NULL))
			return false;
		r->seen |= 1u << i;
		return f->read(r, field);
	}
	return false;
}

bool
options_read(const struct xml *form, int64_t now_us, struct options *o)
{
	struct options next = *o;
	struct options_reading r = { .o = &next, .now_us = now_us };

	if (form_kind(form) != FORM_SUBMIT || !form_is(form, NS_SUBSCRIBE_OPTIONS))
		return false;
	for (const struct xml *f = form->first; f != NULL; f = f->next)
		if (xml_is(f, NS_DATA, "field") && !options_read_field(&r, f))
			return false;
	/* Who names a frequency and nothing else wants digests. */
	if ((r.seen & (1u << OPTIONS_DIGEST | 1u << OPTIONS_FREQUENCY)) == 1u << OPTIONS_FREQUENCY)
		next.digest = true;
	*o = next;
	return true;
}

void
options_write(struct xmlw *w, const struct options *o, const char *type)
{
	bool to_fill = strcmp(type, "form") == 0;

	form_open(w, type, NS_SUBSCRIBE_OPTIONS);
	for (size_t i = 0; i < OPTIONS_FIELDS; i++) {
		const struct options_field *f = &options_fields[i];

		form_field_open(w, f->var, f->type, f->label);
		f->write(w, o, to_fill);
		xmlw_close(w);
	}
	xmlw_close(w);
}

uint32_t
options_interval(const struct options *o)
{
	return o->digest ? o->frequency_ms : 0;
}
