/* SPDX-License-Identifier: MIT */
/* conf: reads the configuration file. Drives libConfuse by the table in
 * conf_table.c, and is the only file that knows it. Every value passes through
 * conf_value_cb while libConfuse stands on its line. */
#include "base/conf.h"

#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/conf_priv.h"
#include "base/mem.h"

#define CONF_SECTIONS_MAX 32
#define CONF_OPTIONS_MAX 32 /* of one section, and all sections at the top */
#define CONF_VALUE_SHOWN 80 /* bytes of a wrong value that a cause shows */

/* Where an option, or with name NULL a section, was found. */
struct conf_place {
	const char *section, *name;
	size_t i;
	int line;
};

struct conf_reader {
	struct conf *conf;
	struct conf_causes causes;
	struct conf_place *places;
	size_t n_places;
};

/* libConfuse hands nothing of ours to its callbacks. Set while it parses; there
 * is one thread and no callback reads another file. */
static struct conf_reader *conf_reading;

static int
conf_place_line(void *arg, const char *section, size_t i, const char *name)
{
	const struct conf_reader *r = arg;

	for (size_t k = 0; k < r->n_places; k++) {
		const struct conf_place *p = &r->places[k];
		bool same = name == NULL || p->name == NULL ? name == p->name
		                                            : strcmp(name, p->name) == 0;
		if (same && p->i == i && strcmp(section, p->section) == 0)
			return p->line;
	}
	return 0;
}

static void
conf_place_add(struct conf_reader *r, struct conf_place place)
{
	r->places = mem_realloc(r->places, (r->n_places + 1) * sizeof *r->places);
	r->places[r->n_places++] = place;
}

/* libConfuse calls its top level "root". */
static const struct conf_section *
conf_section_of(cfg_t *cfg)
{
	return conf_section_find(strcmp(cfg_name(cfg), "root") == 0 ? "" : cfg_name(cfg));
}

/* Which element of its section cfg is; a new one is made with its first
 * option. */
static size_t
conf_element(struct conf_reader *r, const struct conf_section *s, cfg_t *cfg)
{
	size_t n = conf_section_count(r->conf, s);

	if (s->item == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (strcmp(*(char **)conf_section_at(r->conf, s, i), cfg_title(cfg)) == 0)
			return i;
	if (!s->check(cfg_title(cfg)))
		conf_cause(&r->causes, cfg->line, "%s \"%.*s\" is not valid, expected %s", s->name,
		    CONF_VALUE_SHOWN, conf_section_shown(s, cfg_title(cfg)), s->expected);
	conf_section_add(r->conf, s, cfg_title(cfg));
	return n;
}

static void
conf_refuse(struct conf_reader *r, int line, const struct conf_row *row, const char *text,
    const char *expected)
{
	const char *dot = row->section[0] != '\0' ? "." : "";

	if (row->type == CONF_PATH)
		conf_cause(&r->causes, line, "%s%s%s is not valid, expected %s", row->section, dot,
		    row->name, expected);
	else
		conf_cause(&r->causes, line, "%s%s%s \"%.*s\" is not valid, expected %s",
		    row->section, dot, row->name, CONF_VALUE_SHOWN, text, expected);
}

/* Never fails, so that libConfuse goes on and all causes are found. */
static int
conf_value_cb(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct conf_reader *r = conf_reading;
	const struct conf_section *s = conf_section_of(cfg);
	const struct conf_row *row = conf_row_find(s->name, opt->name);
	size_t i = conf_element(r, s, cfg);
	bool first = cfg_opt_size(opt) == 1; /* libConfuse has made room for it already */
	int line = conf_place_line(r, s->name, i, opt->name);
	char *expected;

	*(const char **)result = text;
	if (first && line != 0)
		conf_cause(&r->causes, cfg->line,
		    "%s stands twice, expected it once; it stands in line %d", opt->name, line);
	if (line == 0)
		conf_place_add(r, (struct conf_place){ s->name, row->name, i, cfg->line });
	expected = conf_value_set(row, conf_section_at(r->conf, s, i), text, first);
	if (expected != NULL)
		conf_refuse(r, cfg->line, row, text, expected);
	mem_free(expected);
	return 0;
}

static void
conf_known_options(cfg_t *cfg, struct buf *out)
{
	for (cfg_opt_t *o = cfg->opts; o->name != NULL; o++)
		buf_printf(out, "%s%s", o > cfg->opts ? ", " : "", o->name);
	buf_byte(out, '\0');
}

static void
conf_error_cb(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct conf_causes *causes = &conf_reading->causes;
	struct buf known = BUF_INIT(0);
	char text[256];

	vsnprintf(text, sizeof text, fmt, ap);
	conf_known_options(cfg, &known);
	if (strstr(text, "no such option") != NULL)
		conf_cause(causes, cfg->line, "%s in %s, expected one of %s", text,
		    cfg->title != NULL || strcmp(cfg->name, "root") != 0 ? cfg->name
		                                                        : "the top level",
		    known.data);
	else if (strstr(text, "duplicate title") != NULL) /* which may be a student's id */
		conf_cause(causes, cfg->line, "a section of the same kind and title stands further up, "
		    "expected it once");
	else
		conf_cause(causes, cfg->line, "%s, expected name = value or section { ... }", text);
	buf_free(&known);
}

/* The options of one section; how many. */
static size_t
conf_options(cfg_opt_t *opts, const struct conf_section *s)
{
	size_t n = 0;

	for (size_t i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (strcmp(row->section, s->name) != 0)
			continue;
		if (row->type == CONF_LIST)
			opts[n++] = (cfg_opt_t)CFG_STR_LIST_CB(row->name, NULL, CFGF_NODEFAULT,
			    conf_value_cb);
		else
			opts[n++] = (cfg_opt_t)CFG_STR_CB(row->name, NULL, CFGF_NODEFAULT,
			    conf_value_cb);
	}
	opts[n] = (cfg_opt_t)CFG_END();
	return n;
}

static cfg_t *
conf_cfg_new(void)
{
	cfg_opt_t opts[CONF_SECTIONS_MAX][CONF_OPTIONS_MAX];
	size_t top = conf_options(opts[0], &conf_sections[0]);
	cfg_t *cfg;

	if (conf_n_sections > CONF_SECTIONS_MAX || top + conf_n_sections >= CONF_OPTIONS_MAX)
		abort(); /* the table outgrew this */
	for (size_t i = 1; i < conf_n_sections; i++) {
		const struct conf_section *s = &conf_sections[i];

		conf_options(opts[i], s);
		opts[0][top++] = (cfg_opt_t)CFG_SEC(s->name, opts[i],
		    s->item > 0 ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE);
	}
	opts[0][top] = (cfg_opt_t)CFG_END();
	cfg = cfg_init(opts[0], CFGF_NONE);
	if (cfg != NULL)
		cfg_set_error_function(cfg, conf_error_cb);
	return cfg;
}

/* An empty list never comes to conf_value_cb, not even when it stands second. */
static void
conf_emptied_lists(struct conf_reader *r, const struct conf_section *s, size_t i, cfg_t *section)
{
	for (cfg_opt_t *o = section->opts; o->name != NULL; o++) {
		int line = conf_place_line(r, s->name, i, o->name);

		if (line != 0 && cfg_opt_size(o) == 0)
			conf_cause(&r->causes, line, "%s stands twice, expected it once", o->name);
	}
}

/* Sections without any option have not been seen yet; and their lines. */
static void
conf_sections_seen(struct conf_reader *r, cfg_t *cfg)
{
	for (size_t k = 1; k < conf_n_sections; k++) {
		const struct conf_section *s = &conf_sections[k];

		for (unsigned n = 0; n < cfg_size(cfg, s->name); n++) {
			cfg_t *section = cfg_getnsec(cfg, s->name, n);
			size_t i = conf_element(r, s, section);

			conf_place_add(r, (struct conf_place){ s->name, NULL, i, section->line });
			conf_emptied_lists(r, s, i, section);
		}
	}
}

static bool
conf_parse(struct conf_reader *r, const char *text)
{
	cfg_t *cfg = conf_cfg_new();
	size_t before = r->causes.n;
	bool ok;

	if (cfg == NULL) {
		conf_cause(&r->causes, 0, "no memory");
		return false;
	}
	conf_reading = r;
	ok = cfg_parse_buf(cfg, text) == CFG_SUCCESS;
	if (ok)
		conf_sections_seen(r, cfg);
	else if (r->causes.n == before) /* an empty name fails without a word */
		conf_cause(&r->causes, cfg->line, "not understood, expected name = value");
	conf_reading = NULL;
	cfg_free(cfg);
	return ok;
}

static struct conf *
conf_new(const char *path)
{
	struct conf *c;

	MEM_NEW(c);
	c->path = mem_strdup(path);
	for (size_t i = 0; i < conf_n_rows; i++)
		if (conf_section_find(conf_rows[i].section)->item == 0)
			conf_value_default(&conf_rows[i], c);
	return c;
}

static void
conf_file_defaults(struct conf *c)
{
	if (c->control == NULL && c->state_dir != NULL)
		c->control = mem_printf("%s/lectern.sock", c->state_dir);
	if (c->audit_file == NULL && c->state_dir != NULL)
		c->audit_file = mem_printf("%s/audit.jsonl", c->state_dir);
}

/* Everything that is wrong ends up in r->causes. */
static void
conf_read_into(struct conf_reader *r)
{
	struct buf text = BUF_INIT(0);

	if (conf_file_read(&r->causes, &text) &&
	    conf_text_clean(&r->causes, text.data, text.len)) {
		buf_byte(&text, '\0');
		if (conf_parse(r, text.data)) {
			conf_file_defaults(r->conf);
			conf_check(r->conf, &r->causes, conf_place_line, r);
		}
	}
	buf_free(&text);
}

struct conf *
conf_read(const char *path, struct buf *causes)
{
	struct conf_reader r = { .conf = conf_new(path), .causes = { path, causes, 0 } };

	conf_read_into(&r);
	mem_free(r.places);
	if (r.causes.n == 0)
		return r.conf;
	conf_free(r.conf);
	return NULL;
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	for (size_t k = 0; k < conf_n_sections; k++) {
		const struct conf_section *s = &conf_sections[k];

		for (size_t i = 0; i < conf_section_count(c, s); i++) {
			void *base = conf_section_at(c, s, i);

			for (size_t n = 0; n < conf_n_rows; n++)
				if (strcmp(conf_rows[n].section, s->name) == 0)
					conf_value_free(&conf_rows[n], base);
			if (s->item > 0)
				mem_free(*(char **)base);
		}
	}
	mem_free(c->components);
	mem_free(c->producers);
	mem_free(c->readers);
	mem_free(c->opt_outs);
	mem_free(c->path);
	mem_free(c);
}
