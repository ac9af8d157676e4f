/* SPDX-License-Identifier: MIT */
/* Tests of base/log. Standard error is a socket that keeps message boundaries
 * while a line is logged, so that one write(2) is one message. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

#define LINE_MAX 4096

static int sockets[2], real_stderr;
static char line[2 * LINE_MAX];

static void
begin(void)
{
	fflush(stderr);
	assert_true(dup2(sockets[1], STDERR_FILENO) >= 0);
}

/* Restores standard error and leaves the one message in `line`; its length,
 * or 0 when nothing was written. */
static size_t
end(void)
{
	ssize_t n;

	assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
	n = recv(sockets[0], line, sizeof line - 1, MSG_DONTWAIT);
	line[n < 0 ? 0 : n] = '\0';
	assert_true(recv(sockets[0], &(char){ 0 }, 1, MSG_DONTWAIT) < 0); /* no second one */
	return n < 0 ? 0 : (size_t)n;
}

#define LOGGED(level, ...) (begin(), log_line(level, __VA_ARGS__), end())

/* What stands behind the time, which is "YYYY-MM-DDTHH:MM:SS.mmmZ ". */
static const char *
behind_time(void)
{
	static const char shape[] = "0000-00-00T00:00:00.000Z ";

	for (size_t i = 0; i < sizeof shape - 1; i++) {
		if (shape[i] == '0')
			assert_in_range(line[i], '0', '9');
		else
			assert_int_equal(line[i], shape[i]);
	}
	return line + sizeof shape - 1;
}

static void
test_line(void **state)
{
	(void)state;
	assert_true(LOGGED(LOG_NOTICE, "roster loaded path=%s rows=%d", "a.csv", 3) > 0);
	assert_string_equal(behind_time(), "notice roster loaded path=a.csv rows=3\n");
	LOGGED(LOG_ERROR, "x");
	assert_string_equal(behind_time(), "error x\n");
}

static void
test_levels(void **state)
{
	enum log_level level = LOG_ERROR;

	(void)state;
	log_set_level(LOG_WARNING);
	assert_true(LOGGED(LOG_ERROR, "x") > 0);
	assert_true(LOGGED(LOG_WARNING, "x") > 0);
	assert_int_equal(LOGGED(LOG_NOTICE, "x"), 0);
	log_toggle_debug();
	assert_true(LOGGED(LOG_DEBUG, "x") > 0);
	log_toggle_debug();
	assert_int_equal(LOGGED(LOG_NOTICE, "x"), 0);
	assert_true(LOGGED(LOG_WARNING, "x") > 0);

	assert_true(log_level_by_name("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_true(log_level_by_name("warning", &level));
	assert_int_equal(level, LOG_WARNING);
	assert_false(log_level_by_name("Warning", &level));
	assert_false(log_level_by_name("", &level));
	assert_int_equal(level, LOG_WARNING);
	log_set_level(LOG_INFO);
}

static void
test_nothing_forges_a_line(void **state)
{
	static const char *const rows[][2] = {
		{ "a\nb\r\n<3>c", "a\\x0ab\\x0d\\x0a<3>c" },
		{ "\t\x1b[2J\x7f", "\\x09\\x1b[2J\\x7f" },
		{ "\\x0a", "\\x5cx0a" },
		{ "caf\u00e9 \u20ac \U0001f600", "caf\u00e9 \u20ac \U0001f600" },
		{ "\xc2\x9b" "31m", "\\xc2\\x9b31m" }, /* CSI as a C1 control character */
		{ "\xff\xc3(\xed\xa0\x80", "\\xff\\xc3(\\xed\\xa0\\x80" },
		{ "\xf0\x9f\x98", "\\xf0\\x9f\\x98" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char want[100];

		snprintf(want, sizeof want, "info k=%s\n", rows[i][1]);
		LOGGED(LOG_INFO, "k=%s", rows[i][0]);
		assert_string_equal(behind_time(), want);
	}
}

/* Texts around the cap, also such as grow by escaping: whole or marked as
 * cut, never longer than the cap, always one line. */
static void
test_cap(void **state)
{
	static const char *const units[] = { "x", "\n", "\xff", "\u00e9", "\U0001f600" };
	static char text[2 * LINE_MAX];

	(void)state;
	for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
		size_t one = strlen(units[u]);
		bool was_cut = false, was_whole = false;

		for (size_t n = 1; n * one < sizeof text; n += n < 900 || n > 1100 ? 37 : 1) {
			size_t got;
			bool cut;

			for (size_t i = 0; i < n; i++)
				memcpy(text + i * one, units[u], one);
			text[n * one] = '\0';
			got = LOGGED(LOG_INFO, "%s", text);
			assert_in_range(got, 1, LINE_MAX);
			assert_ptr_equal(memchr(line, '\n', got), line + got - 1);
			cut = got > 7 && memcmp(line + got - 7, " [cut]\n", 7) == 0;
			was_cut |= cut;
			was_whole |= !cut;
			assert_false(was_cut && !cut);
			if (cut && u == 0)
				assert_int_equal(got, LINE_MAX);
		}
		assert_true(was_cut && was_whole);
	}
}

/* sd-daemon(3): "<N>" is the priority; the journal has its own time. Only a
 * standard error that really is the journal's gets it. */
static void
test_journal(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	assert_int_equal(fstat(sockets[1], &st), 0);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	LOGGED(LOG_ERROR, "x");
	assert_string_equal(line, "<3>error x\n");
	LOGGED(LOG_INFO, "x");
	assert_string_equal(line, "<6>info x\n");

	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino + 1);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	LOGGED(LOG_INFO, "x");
	assert_string_equal(behind_time(), "info x\n");
	assert_int_equal(setenv("JOURNAL_STREAM", "nonsense", 1), 0);
	LOGGED(LOG_INFO, "x");
	assert_string_equal(behind_time(), "info x\n");
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

static void
test_errno_survives(void **state)
{
	(void)state;
	begin();
	close(STDERR_FILENO); /* the write fails */
	errno = ENOENT;
	log_error("x");
	assert_int_equal(errno, ENOENT);
	assert_int_equal(end(), 0);
}

static int
open_sockets_cb(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	real_stderr = dup(STDERR_FILENO);
	return real_stderr < 0 ? -1 : socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_nothing_forges_a_line),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_errno_survives),
	};

	return cmocka_run_group_tests(tests, open_sockets_cb, NULL);
}
