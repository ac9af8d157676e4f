/* SPDX-License-Identifier: MIT */
/* conf_print: the configuration written out, and compared for a reload. */
#include "base/conf_priv.h"

static void
print_row(const struct conf_row *row, const void *base, const char *indent, struct buf *out)
{
	bool text = row->type == CONF_STRING || row->type == CONF_PATH;

	buf_printf(out, "%s# %s.\n", indent, row->help);
	/* An absent string cannot be written; "" would be another value. */
	if (text && row->standard == NULL && conf_value_empty(row, base)) {
		buf_printf(out, "%s# %s =\n", indent, row->name);
		return;
	}
	buf_printf(out, "%s%s = ", indent, row->name);
	conf_value_print(row, base, out);
	buf_byte(out, '\n');
}

static void
print_rows(const struct conf_section *s, const void *base, const char *indent, struct buf *out)
{
	for (size_t i = 0; i < conf_n_rows; i++)
		if (strcmp(conf_rows[i].section, s->name) == 0)
			print_row(&conf_rows[i], base, indent, out);
}

static void
print_section(const struct conf_section *s, const void *base, struct buf *out)
{
	buf_printf(out, "\n# %s\n%s ", s->help, s->name);
	if (s->item > 0) {
		conf_quote(*(char *const *)base, out);
		buf_byte(out, ' ');
	}
	buf_z(out, "{\n");
	print_rows(s, base, "\t", out);
	buf_z(out, "}\n");
}

void
conf_print(const struct conf *c, struct buf *out)
{
	print_rows(&conf_sections[0], c, "", out);
	for (size_t k = 1; k < conf_n_sections; k++)
		for (size_t i = 0; i < conf_section_count(c, &conf_sections[k]); i++)
			print_section(&conf_sections[k],
			    conf_section_at(c, &conf_sections[k], i), out);
}

/* ---- reload ---- */

static void
restart_name(struct buf *names, const char *section, const char *name)
{
	buf_printf(names, "%s%s%s%s", names->len > 0 ? ", " : "", section,
	    section[0] != '\0' && name[0] != '\0' ? "." : "", name);
}

static size_t
restart_options(const struct conf *now, const struct conf *next, struct buf *names)
{
	size_t n = 0;

	for (size_t i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (!row->restart || conf_section_find(row->section)->item > 0 ||
		    conf_value_equal(row, now, next))
			continue;
		restart_name(names, row->section, row->name);
		n++;
	}
	return n;
}

static bool
restart_same_items(const struct conf_section *s, const void *a, const void *b)
{
	bool same = strcmp(*(char *const *)a, *(char *const *)b) == 0;

	for (size_t i = 0; i < conf_n_rows; i++)
		if (conf_rows[i].restart && strcmp(conf_rows[i].section, s->name) == 0)
			same = same && conf_value_equal(&conf_rows[i], a, b);
	return same;
}

/* Sections with titles count as one option each kind. */
static bool
restart_section(const struct conf_section *s, const struct conf *now, const struct conf *next)
{
	size_t n = conf_section_count(now, s);
	bool same = n == conf_section_count(next, s);

	for (size_t i = 0; same && i < n; i++)
		same = restart_same_items(s, conf_section_at(now, s, i),
		    conf_section_at(next, s, i));
	return !same;
}

size_t
conf_needs_restart(const struct conf *now, const struct conf *next, struct buf *names)
{
	size_t n = restart_options(now, next, names);

	if (restart_section(conf_section_find("component"), now, next)) {
		restart_name(names, "component", "");
		n++;
	}
	/* A certificate is read anew, but plain HTTP does not become TLS. */
	if ((now->tls_key == NULL) != (next->tls_key == NULL)) {
		restart_name(names, "listen", "tls_key");
		n++;
	}
	return n;
}
