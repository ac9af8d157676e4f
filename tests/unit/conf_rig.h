/* SPDX-License-Identifier: MIT */
/* conf_rig: what the tests of base/conf share: a file of their own, read and
 * refused texts. */
#ifndef LECTERN_TESTS_CONF_RIG_H
#define LECTERN_TESTS_CONF_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/conf.h"
#include "base/conf_priv.h"
#include "base/mem.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* What every file needs; one line, so that what follows starts in line 2. */
#define BASE "organisation = o state_dir = /s key_file = /k roster { file = /r }\n"

static char dir[] = "/tmp/lectern-conf.XXXXXX";
static char file[64];
static struct buf causes;

static inline void
put(struct str text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(file, 0640), 0);
}

static inline struct conf *
read_path(const char *path)
{
	struct conf *c;

	buf_clear(&causes);
	c = conf_read(path, &causes);
	assert_int_equal(c == NULL, causes.len > 0);
	buf_byte(&causes, '\0');
	return c;
}

static inline struct conf *
read_bytes(struct str text)
{
	put(text);
	return read_path(file);
}

static inline struct conf *
read_ok(const char *text)
{
	struct conf *c = read_bytes(str_of(text));

	if (c == NULL)
		fail_msg("%s\nrefused: %s", text, causes.data);
	return c;
}

/* Refused, with a cause that begins as told after "file:line: ". */
static inline void
refused(struct str text, int line, const char *begin)
{
	char want[512];

	if (line > 0)
		snprintf(want, sizeof want, "%s:%d: %s", file, line, begin);
	else
		snprintf(want, sizeof want, "%s: %s", file, begin);
	if (read_bytes(text) != NULL)
		fail_msg("accepted: %.*s", STR_ARG(text));
	for (const char *at = causes.data; at != NULL; at = strchr(at, '\n'), at += at != NULL)
		if (strncmp(at, want, strlen(want)) == 0)
			return;
	fail_msg("%.*s\nno cause \"%s\" in:\n%s", STR_ARG(text), want, causes.data);
}

static inline void
assert_list(const struct conf_list *l, const char *words)
{
	struct buf b = BUF_INIT(0);

	for (size_t i = 0; i < l->n; i++)
		buf_printf(&b, "%s%s", i > 0 ? " " : "", l->v[i]);
	buf_byte(&b, '\0');
	assert_string_equal(b.data, words);
	buf_free(&b);
}

static inline int
rig_setup(void **state)
{
	(void)state;
	causes = BUF_INIT(0);
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof file, "%s/lectern.conf", dir);
	return 0;
}

static inline int
rig_teardown(void **state)
{
	(void)state;
	buf_free(&causes);
	unlink(file);
	return rmdir(dir);
}

#endif
