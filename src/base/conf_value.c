/* SPDX-License-Identifier: MIT */
/* conf_value: one option's value: from text into its field, by the row's type,
 * range and words. Knows nothing of files. */
#include <limits.h>
#include <stdio.h>

#include "base/conf_priv.h"
#include "base/mem.h"

static char **
value_string(const struct conf_row *row, const void *base)
{
	return (char **)(void *)((char *)base + row->offset);
}

static struct conf_list *
value_list(const struct conf_row *row, const void *base)
{
	return (struct conf_list *)(void *)((char *)base + row->offset);
}

static long *
value_long(const struct conf_row *row, const void *base)
{
	return (long *)(void *)((char *)base + row->offset);
}

static bool *
value_bool(const struct conf_row *row, const void *base)
{
	return (bool *)(void *)((char *)base + row->offset);
}

/* The place of text among the words, -1 for none. */
static int
value_word(const char *const *words, const char *text)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

char *
conf_words(const char *const *words)
{
	struct buf b = BUF_INIT(0);

	for (size_t i = 0; words[i] != NULL; i++)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", words[i]);
	return buf_take(&b);
}

/* What k, M and G multiply by; 0 for anything else. */
static long
value_unit(const char *suffix)
{
	static const char *const units[] = { "", "k", "M", "G", NULL };
	int i = value_word(units, suffix);

	return i < 0 ? 0 : 1L << (10 * i);
}

/* Decimal digits and nothing else, but for the unit of a size. */
static bool
value_number(const struct conf_row *row, const char *text, long *out)
{
	long n = 0, unit;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(n, 10L, &n) ||
		    __builtin_add_overflow(n, (long)(*text - '0'), &n))
			return false;
	unit = row->type == CONF_SIZE ? value_unit(text) : *text == '\0';
	if (unit == 0 || __builtin_mul_overflow(n, unit, &n) || n < row->min || n > row->max)
		return false;
	*out = n;
	return true;
}

static bool
value_truth(const char *text, bool *out)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on", NULL };
	int i = value_word(words, text);

	if (i >= 0)
		*out = i % 2 == 1;
	return i >= 0;
}

/* A word by the row's rules. */
static bool
value_allowed(const struct conf_row *row, const char *text)
{
	if (row->known != NULL && value_word(row->known, text) < 0)
		return false;
	if (row->type == CONF_PATH && (text[0] != '/' || strlen(text) >= PATH_MAX))
		return false;
	return row->check == NULL || row->check(text);
}

static char *
value_expected(const struct conf_row *row)
{
	char *words, *s;

	if (row->known != NULL) {
		words = conf_words(row->known);
		s = mem_printf("one of %s", words);
		mem_free(words);
		return s;
	}
	if (row->expected != NULL)
		return mem_strdup(row->expected);
	switch (row->type) {
	case CONF_PATH:
		return mem_strdup("an absolute path");
	case CONF_BOOL:
		return mem_strdup("true or false");
	case CONF_SIZE:
		return mem_printf("bytes from %ld to %ld such as 65536, 64k or 4M", row->min,
		    row->max);
	case CONF_SECONDS:
		return mem_printf("seconds from %ld to %ld", row->min, row->max);
	default:
		return mem_printf("a number from %ld to %ld", row->min, row->max);
	}
}

static void
value_list_clear(struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		mem_free(l->v[i]);
	mem_free(l->v);
	*l = (struct conf_list){ NULL, 0 };
}

static void
value_list_add(struct conf_list *l, const char *text)
{
	l->v = mem_realloc(l->v, (l->n + 1) * sizeof *l->v);
	l->v[l->n++] = mem_strdup(text);
}

static void
value_string_set(char **field, const char *text)
{
	mem_free(*field);
	*field = mem_strdup(text);
}

char *
conf_value_set(const struct conf_row *row, void *base, const char *text, bool first)
{
	bool ok;

	switch (row->type) {
	case CONF_BOOL:
		ok = value_truth(text, value_bool(row, base));
		break;
	case CONF_NUMBER:
	case CONF_SIZE:
	case CONF_SECONDS:
		ok = value_number(row, text, value_long(row, base));
		break;
	case CONF_LIST:
		if (first)
			value_list_clear(value_list(row, base));
		ok = value_allowed(row, text);
		if (ok)
			value_list_add(value_list(row, base), text);
		break;
	default:
		ok = value_allowed(row, text);
		if (ok)
			value_string_set(value_string(row, base), text);
	}
	return ok ? NULL : value_expected(row);
}

void
conf_value_default(const struct conf_row *row, void *base)
{
	if (row->standard != NULL)
		mem_free(conf_value_set(row, base, row->standard, true));
}

bool
conf_value_empty(const struct conf_row *row, const void *base)
{
	const char *s;

	if (row->type == CONF_LIST)
		return value_list(row, base)->n == 0;
	if (row->type != CONF_STRING && row->type != CONF_PATH)
		return false;
	s = *value_string(row, base);
	return s == NULL || *s == '\0';
}

static bool
value_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
value_list_equal(const struct conf_list *a, const struct conf_list *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return a->n == b->n;
}

bool
conf_value_equal(const struct conf_row *row, const void *a, const void *b)
{
	switch (row->type) {
	case CONF_BOOL:
		return *value_bool(row, a) == *value_bool(row, b);
	case CONF_NUMBER:
	case CONF_SIZE:
	case CONF_SECONDS:
		return *value_long(row, a) == *value_long(row, b);
	case CONF_LIST:
		return value_list_equal(value_list(row, a), value_list(row, b));
	default:
		return value_same(*value_string(row, a), *value_string(row, b));
	}
}

void
conf_value_free(const struct conf_row *row, void *base)
{
	if (row->type == CONF_LIST)
		value_list_clear(value_list(row, base));
	else if (row->type == CONF_STRING || row->type == CONF_PATH)
		mem_free(*value_string(row, base));
}

/* ---- printing ---- */

/* In double quotes, so that conf_text_clean and libConfuse read the same back. */
void
conf_quote(const char *s, struct buf *out)
{
	buf_byte(out, '"');
	for (; *s != '\0'; s++) {
		const char *escaped = strchr("\"\\$", *s);

		if (*s == '\n' || *s == '\t')
			buf_z(out, *s == '\n' ? "\\n" : "\\t");
		else if (escaped != NULL)
			buf_printf(out, "\\%c", *s);
		else
			buf_byte(out, *s);
	}
	buf_byte(out, '"');
}

/* A size with the largest unit that divides it. */
static void
value_print_size(long n, struct buf *out)
{
	static const char units[] = { 'G', 'M', 'k' };

	for (int i = 0; i < 3; i++) {
		int shift = 30 - 10 * i;
		if (n != 0 && n % (1L << shift) == 0) {
			buf_printf(out, "%ld%c", n >> shift, units[i]);
			return;
		}
	}
	buf_printf(out, "%ld", n);
}

static void
value_print_list(const struct conf_list *l, struct buf *out)
{
	buf_z(out, "{ ");
	for (size_t i = 0; i < l->n; i++) {
		conf_quote(l->v[i], out);
		buf_z(out, i + 1 < l->n ? ", " : " ");
	}
	buf_byte(out, '}');
}

void
conf_value_print(const struct conf_row *row, const void *base, struct buf *out)
{
	switch (row->type) {
	case CONF_BOOL:
		buf_z(out, *value_bool(row, base) ? "true" : "false");
		break;
	case CONF_SIZE:
		value_print_size(*value_long(row, base), out);
		break;
	case CONF_NUMBER:
	case CONF_SECONDS:
		buf_printf(out, "%ld", *value_long(row, base));
		break;
	case CONF_LIST:
		value_print_list(value_list(row, base), out);
		break;
	default:
		conf_quote(*value_string(row, base), out);
	}
}
