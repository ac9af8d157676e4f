/* SPDX-License-Identifier: MIT */
/* options: one table row per field: how it is read and how it is written. */
#include "xmpp/options.h"

#include <stdio.h>
#include <time.h>

#include "xmpp/stanza.h"

/* ---- values ---- */

/* XEP-0004 §3.3 boolean */
static bool
options_bool(const char *text, bool *out)
{
	*out = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
	return *out || strcmp(text, "0") == 0 || strcmp(text, "false") == 0;
}

/* Exactly `digits` digits at *at, which moves behind them. */
static bool
options_digits(const char **at, int digits, int *out)
{
	*out = 0;
	for (; digits > 0; digits--, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		*out = 10 * *out + (**at - '0');
	}
	return true;
}

static bool
options_mark(const char **at, char c)
{
	return *(*at)++ == c;
}

/* "Z" or "+hh:mm", "-hh:mm" as seconds east. */
static bool
options_zone(const char **at, int *east)
{
	char sign = *(*at)++;
	int hours, minutes;

	*east = 0;
	if (sign == 'Z')
		return true;
	if ((sign != '+' && sign != '-') || !options_digits(at, 2, &hours) ||
	    !options_mark(at, ':') || !options_digits(at, 2, &minutes) || hours > 14 ||
	    minutes > 59)
		return false;
	*east = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
	return true;
}

static bool
options_date_fits(const struct tm *t)
{
	struct tm copy = *t;

	/* timegm brings 31 February into March: then it was none. */
	return timegm(&copy) != (time_t)-1 && copy.tm_mday == t->tm_mday &&
	    copy.tm_mon == t->tm_mon && t->tm_hour < 24 && t->tm_min < 60 && t->tm_sec < 61;
}

/* XEP-0082 §3.2; the seconds may be missing, as in XEP-0060's own examples. */
bool
options_date(const char *at, int64_t *out)
{
	struct tm t = { 0 };
	int east;

	if (!options_digits(&at, 4, &t.tm_year) || !options_mark(&at, '-') ||
	    !options_digits(&at, 2, &t.tm_mon) || !options_mark(&at, '-') ||
	    !options_digits(&at, 2, &t.tm_mday) || !options_mark(&at, 'T') ||
	    !options_digits(&at, 2, &t.tm_hour) || !options_mark(&at, ':') ||
	    !options_digits(&at, 2, &t.tm_min))
		return false;
	if (*at == ':' && (at++, !options_digits(&at, 2, &t.tm_sec)))
		return false;
	if (*at == '.')
		at += 1 + strspn(at + 1, "0123456789");
	t.tm_year -= 1900;
	t.tm_mon -= 1;
	if (t.tm_mon < 0 || t.tm_mday < 1 || !options_date_fits(&t) || !options_zone(&at, &east) ||
	    *at != '\0')
		return false;
	*out = ((int64_t)timegm(&t) - east) * 1000000;
	return true;
}

/* ---- fields ---- */

struct options_reading {
	struct options *o;
	int64_t now_us;
	bool digest_given, frequency_given;
};

static bool
options_read_deliver(struct options_reading *r, const char *value)
{
	return options_bool(value, &r->o->deliver);
}

static bool
options_read_digest(struct options_reading *r, const char *value)
{
	r->digest_given = true;
	return options_bool(value, &r->o->digest);
}

static bool
options_read_frequency(struct options_reading *r, const char *value)
{
	size_t n = strlen(value);
	int ms;

	r->frequency_given = true;
	if (n < 1 || n > 8 || !options_digits(&value, (int)n, &ms) ||
	    (unsigned)ms > OPTIONS_FREQUENCY_MAX)
		return false;
	r->o->frequency_ms = (uint32_t)ms;
	return true;
}

static bool
options_read_expire(struct options_reading *r, const char *value)
{
	r->o->presence = strcmp(value, "presence") == 0;
	r->o->expire_us = 0;
	if (r->o->presence || value[0] == '\0')
		return true;
	return options_date(value, &r->o->expire_us) && r->o->expire_us > r->now_us;
}

static void
options_write_deliver(const struct options *o, char *out, size_t n)
{
	snprintf(out, n, "%d", o->deliver);
}

static void
options_write_digest(const struct options *o, char *out, size_t n)
{
	snprintf(out, n, "%d", o->digest);
}

static void
options_write_frequency(const struct options *o, char *out, size_t n)
{
	snprintf(out, n, "%u", o->frequency_ms);
}

static void
options_write_expire(const struct options *o, char *out, size_t n)
{
	time_t at = (time_t)(o->expire_us / 1000000);
	struct tm t;

	if (o->presence)
		snprintf(out, n, "presence");
	else if (o->expire_us != 0 && gmtime_r(&at, &t) != NULL)
		strftime(out, n, "%Y-%m-%dT%H:%M:%SZ", &t);
	else
		out[0] = '\0';
}

static const struct options_field {
	const char *var, *type, *label;
	bool (*read)(struct options_reading *r, const char *value);
	void (*write)(const struct options *o, char *out, size_t n);
} options_fields[] = {
	{ "pubsub#deliver", "boolean", "Receive notifications", options_read_deliver,
	    options_write_deliver },
	{ "pubsub#digest", "boolean", "Gather notifications into digests", options_read_digest,
	    options_write_digest },
	{ "pubsub#digest_frequency", "text-single", "Least milliseconds between two digests",
	    options_read_frequency, options_write_frequency },
	{ "pubsub#expire", "text-single", "End of the subscription: a date, or \"presence\"",
	    options_read_expire, options_write_expire },
};

#define OPTIONS_FIELDS (sizeof options_fields / sizeof *options_fields)

static bool
options_read_field(struct options_reading *r, const struct xml *field)
{
	const char *var = xml_attr(field, "var");
	const struct xml *value = xml_child(field, NS_DATA, "value");
	const char *text = value != NULL ? value->text.p : "";

	if (var == NULL)
		return false;
	if (strcmp(var, "FORM_TYPE") == 0)
		return strcmp(text, NS_SUBSCRIBE_OPTIONS) == 0;
	for (size_t i = 0; i < OPTIONS_FIELDS; i++)
		if (strcmp(var, options_fields[i].var) == 0)
			return options_fields[i].read(r, text);
	return false;
}

bool
options_read(const struct xml *form, int64_t now_us, struct options *o)
{
	struct options next = *o;
	struct options_reading r = { .o = &next, .now_us = now_us };
	const char *type = xml_attr(form, "type");

	if (type == NULL || strcmp(type, "submit") != 0)
		return false;
	for (const struct xml *f = form->first; f != NULL; f = f->next)
		if (xml_is(f, NS_DATA, "field") && !options_read_field(&r, f))
			return false;
	/* Who names a frequency and nothing else wants digests. */
	if (r.frequency_given && !r.digest_given)
		next.digest = true;
	*o = next;
	return true;
}

static void
options_write_one(struct xmlw *w, const char *var, const char *value, const char *type,
    const char *label)
{
	xmlw_open(w, "field", NULL);
	xmlw_attrz(w, "var", var);
	xmlw_attrz(w, "type", type);
	xmlw_attrz(w, "label", label);
	if (value[0] != '\0')
		xmlw_textz(w, "value", value);
	xmlw_close(w);
}

void
options_write(struct xmlw *w, const struct options *o, const char *type)
{
	char value[64];

	xmlw_open(w, "x", NS_DATA);
	xmlw_attrz(w, "type", type);
	options_write_one(w, "FORM_TYPE", NS_SUBSCRIBE_OPTIONS, "hidden", NULL);
	for (size_t i = 0; i < OPTIONS_FIELDS; i++) {
		const struct options_field *f = &options_fields[i];

		f->write(o, value, sizeof value);
		options_write_one(w, f->var, value, f->type, f->label);
	}
	xmlw_close(w);
}

uint32_t
options_interval(const struct options *o)
{
	return o->digest ? o->frequency_ms : 0;
}
