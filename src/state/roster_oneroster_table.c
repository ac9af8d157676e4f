/* SPDX-License-Identifier: MIT */
/* roster_oneroster_table: the tables of an export, row by row, and what their cells
 * hold. */
#include "base/mem.h"
#include "state/roster_oneroster.h"
#include "state/textfile.h"

struct str
oneroster_cell(const struct oneroster_table *t, size_t column)
{
	return csv_cell(&t->csv, t->at[column]);
}

static bool
oneroster_refuse(struct oneroster_table *t, const char *wrong)
{
	*t->o->why = mem_printf("%s: %s:%zu: %s", t->o->path, t->name, t->csv.line, wrong);
	return false;
}

static bool
oneroster_header(struct oneroster_table *t, const struct oneroster_shape *s)
{
	for (size_t i = 0; s->columns[i] != NULL; i++) {
		t->at[i] = csv_column(&t->csv, s->columns[i]);
		if (t->at[i] == CSV_NO_COLUMN && i < s->required) {
			*t->o->why = mem_printf("%s: %s:%zu: no column %s, expected a file of OneRoster 1.1",
			    t->o->path, t->name, t->csv.line, s->columns[i]);
			return false;
		}
	}
	return true;
}

/* Of a row that is to be deleted nothing counts. */
static const char *
oneroster_take_row(struct oneroster_table *t, const struct oneroster_shape *s)
{
	struct str status = { "", 0 };

	if (s->status != CSV_NO_COLUMN)
		status = oneroster_cell(t, s->status);
	if (str_is(status, "tobedeleted"))
		return NULL;
	if (status.n > 0 && !str_is(status, "active"))
		return "a status that is not known, expected active, tobedeleted or nothing";
	return s->row(t);
}

static bool
oneroster_rows(struct oneroster_table *t, const struct oneroster_shape *s)
{
	enum csv_next next = csv_next(&t->csv);
	const char *wrong = NULL;

	if (next == CSV_END)
		return oneroster_refuse(t, "an empty file, expected a first line with the columns");
	if (next == CSV_RECORD && !oneroster_header(t, s))
		return false;
	while (next == CSV_RECORD && wrong == NULL && (next = csv_next(&t->csv)) == CSV_RECORD)
		wrong = oneroster_take_row(t, s);
	if (next == CSV_WRONG)
		wrong = t->csv.why;
	if (wrong == NULL || wrong[0] == '\0')
		return wrong == NULL;
	return oneroster_refuse(t, wrong);
}

bool
oneroster_table(struct oneroster *o, const struct oneroster_shape *s)
{
	struct oneroster_table t = { .o = o, .name = oneroster_file_name(s->file) };
	struct str text = buf_view(&o->texts->text[s->file]);
	char *place;
	bool ok;

	if (!o->texts->there[s->file])
		return true;
	place = mem_printf("%s: %s", o->path, t.name);
	ok = textfile_is_utf8(place, text, o->why);
	mem_free(place);
	if (!ok)
		return false;
	csv_open(&t.csv, text, false);
	ok = oneroster_rows(&t, s);
	csv_close(&t.csv);
	return ok;
}

/* ---- cells ---- */

bool
oneroster_each(struct str *rest, struct str *one)
{
	const char *comma;

	while (rest->n > 0) {
		comma = memchr(rest->p, ',', rest->n);
		*one = (struct str){ rest->p, comma != NULL ? (size_t)(comma - rest->p) : rest->n };
		rest->p += one->n + (comma != NULL);
		rest->n -= one->n + (comma != NULL);
		while (one->n > 0 && one->p[0] == ' ')
			*one = (struct str){ one->p + 1, one->n - 1 };
		while (one->n > 0 && one->p[one->n - 1] == ' ')
			one->n--;
		if (one->n > 0)
			return true;
	}
	return false;
}

/* 2026-09-01 */
static bool
oneroster_is_date(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (i == 4 || i == 7 ? s.p[i] != '-' : s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n == ONEROSTER_DATE_LEN;
}

const char *
oneroster_when(const struct oneroster *o, struct str begin, struct str end,
    enum oneroster_when *when)
{
	if ((begin.n > 0 && !oneroster_is_date(begin)) || (end.n > 0 && !oneroster_is_date(end)))
		return "a date that is none, expected one such as 2026-09-01";
	*when = ONEROSTER_NOW;
	if (begin.n > 0 && memcmp(begin.p, o->today, ONEROSTER_DATE_LEN) > 0)
		*when = ONEROSTER_LATER;
	if (end.n > 0 && memcmp(end.p, o->today, ONEROSTER_DATE_LEN) <= 0)
		*when = ONEROSTER_OVER;
	return NULL;
}
