/* SPDX-License-Identifier: MIT */
/* conf_priv: what the conf_*.c files share: the table of options and the
 * causes. Nobody else includes it, except its test. */
#ifndef LECTERN_BASE_CONF_PRIV_H
#define LECTERN_BASE_CONF_PRIV_H

#include "base/conf.h"

/* ---- causes ---- */

struct conf_causes {
	const char *path;
	struct buf *out;
	size_t n;
};

/* Adds "path:line: ..." (no line when it is 0). */
void conf_cause(struct conf_causes *c, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- the file ---- */

#define CONF_FILE_MAX ((size_t)1 << 20) /* bytes */

/* The file's bytes; false with a cause when it is no regular file, too large,
 * unreadable or writable by everyone. */
bool conf_file_read(struct conf_causes *c, struct buf *out);

/* Checks that the n bytes are text that libConfuse reads as it looks, and
 * blanks what it miscounts: comments, carriage returns, a byte order mark.
 * Lines stay where they are. On a fault false, with its cause. */
bool conf_text_clean(struct conf_causes *c, char *text, size_t n);

/* ---- the table ---- */

enum conf_type {
	CONF_STRING,
	CONF_PATH,    /* absolute; never shown in a cause, it might be a secret */
	CONF_BOOL,
	CONF_NUMBER,
	CONF_SIZE,    /* bytes: 65536, "64k", "4M", "1G" */
	CONF_SECONDS,
	CONF_LIST
};

struct conf_row {
	const char *section;  /* "": top level */
	const char *name;
	enum conf_type type;
	size_t offset;        /* in struct conf, or in the section's own struct */
	long min, max;        /* of a number */
	const char *standard; /* the default as it would stand in the file */
	const char *const *known; /* the only words accepted; NULL: any */
	bool (*check)(const char *value);
	const char *expected; /* what check wants, or an example */
	bool required;
	bool restart;         /* a change takes effect at the next start */
	const char *help;
};

/* A section that may stand several times, each with a title, is an array in
 * struct conf whose elements begin with the title; n_items is 0 otherwise. */
struct conf_section {
	const char *name;
	const char *help;
	size_t item, items, n_items; /* size of an element; offsets of array and length */
	bool (*check)(const char *title);
	const char *expected;
	/* What a cause may show of a title; NULL: all of it. */
	const char *(*shown)(const char *title);
};

extern const struct conf_row conf_rows[];
extern const size_t conf_n_rows;
extern const struct conf_section conf_sections[];
extern const size_t conf_n_sections;

const struct conf_section *conf_section_find(const char *name);
const struct conf_row *conf_row_find(const char *section, const char *name);
const char *conf_section_shown(const struct conf_section *s, const char *title);
/* How many elements the section has in c, 1 for a section without titles; and
 * where the options of element i stand. */
size_t conf_section_count(const struct conf *c, const struct conf_section *s);
void *conf_section_at(const struct conf *c, const struct conf_section *s, size_t i);
/* A new element with its title and defaults. */
void conf_section_add(struct conf *c, const struct conf_section *s, const char *title);

/* ---- values ---- */

/* Sets the row's field from text; a list grows, or starts anew when `first`.
 * NULL, or what was expected (mem_free it) with the field as it was. */
char *conf_value_set(const struct conf_row *row, void *base, const char *text, bool first);
void conf_value_default(const struct conf_row *row, void *base);
/* A string that is absent or empty, or an empty list. */
bool conf_value_empty(const struct conf_row *row, const void *base);
bool conf_value_equal(const struct conf_row *row, const void *a, const void *b);
/* As it would stand after the "=". Not for an absent string. */
void conf_value_print(const struct conf_row *row, const void *base, struct buf *out);
void conf_quote(const char *s, struct buf *out);
void conf_value_free(const struct conf_row *row, void *base);
/* "a, b, c" of a NULL-terminated array. */
char *conf_words(const char *const *words);

/* ---- checks of one value, and of options against each other ---- */

bool conf_is_address(const char *s);
bool conf_is_host(const char *s);
bool conf_is_origin(const char *s);
bool conf_is_domain(const char *s);
bool conf_is_opt_out(const char *s);
/* Its kind only: the rest may be a student's id or address, also when it is not valid. */
const char *conf_opt_out_shown(const char *title);
bool conf_is_component(const char *s);
bool conf_is_name(const char *s);
bool conf_is_jid(const char *s);
bool conf_is_reducer(const char *s);
bool conf_is_time_limit(const char *s);
bool conf_is_until(const char *s);
bool conf_is_socket_path(const char *s);
bool conf_is_redis(const char *s);
bool conf_is_loopback(const char *host);
bool conf_is_filled(const char *s);
bool conf_is_contact(const char *s);
bool conf_is_web_uri(const char *s);

/* Where each option was set: line_of answers 0 for one that was not. */
typedef int (*conf_line_fn)(void *arg, const char *section, size_t i, const char *name);
void conf_check(const struct conf *c, struct conf_causes *causes, conf_line_fn line, void *arg);

#endif
