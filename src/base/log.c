/* SPDX-License-Identifier: MIT */
/* log: lines to standard error, each with one write(2), so that lines of
 * several threads never mix. Allocates nothing. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

#define LOG_LINE_MAX 4096 /* bytes of a line, newline included */
#define LOG_CUT " [cut]"  /* the end of a line that was longer */

/* syslog: the priority sd-daemon(3) wants in "<N>". */
static const struct {
	const char *name;
	char syslog;
} log_levels[] = {
	[LOG_ERROR] = { "error", '3' },
	[LOG_WARNING] = { "warning", '4' },
	[LOG_NOTICE] = { "notice", '5' },
	[LOG_INFO] = { "info", '6' },
	[LOG_DEBUG] = { "debug", '7' },
};

static atomic_int log_level = LOG_INFO;
static atomic_int log_level_before = LOG_INFO; /* what log_toggle_debug goes back to */

void
log_set_level(enum log_level level)
{
	log_level = (int)level;
	log_level_before = (int)level;
}

void
log_toggle_debug(void)
{
	log_level = log_level == LOG_DEBUG ? log_level_before : LOG_DEBUG;
}

bool
log_level_by_name(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < sizeof log_levels / sizeof *log_levels; i++) {
		if (strcmp(name, log_levels[i].name) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* Whether standard error is the journal's. The variable alone does not tell:
 * children with a redirected standard error inherit it (systemd.exec(5)). */
static bool
log_to_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static size_t
log_prefix(char *at, size_t room, enum log_level level)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	if (log_to_journal())
		return (size_t)snprintf(at, room, "<%c>%s ", log_levels[level].syslog,
		    log_levels[level].name);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(at, room, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(at + n, room - n, ".%03dZ %s ",
	    (int)(now.tv_nsec / 1000000), log_levels[level].name);
}

/* The printable form of the character at s: itself, or \xNN for each byte of
 * a control character (C1 too: terminals obey them), of what is not UTF-8,
 * and of the backslash, so that nothing can look like an escape that is none.
 * Sets *taken to the bytes it took, returns the bytes written (at most 16). */
static size_t
log_escape(char *at, struct str s, size_t *taken)
{
	uint32_t c;
	size_t n = 0;
	int ok;

	*taken = utf8_next(s.p, s.n, &c, &ok);
	if (ok && c >= 0x20 && c != '\\' && !(c >= 0x7f && c <= 0x9f)) {
		memcpy(at, s.p, *taken);
		return *taken;
	}
	for (size_t i = 0; i < *taken; i++)
		n += (size_t)snprintf(at + n, 5, "\\x%02x", (unsigned char)s.p[i]);
	return n;
}

/* Escapes text behind the `used` bytes of line, up to LOG_LINE_MAX with the
 * newline. Returns the length of the line. */
static size_t
log_compose(char line[LOG_LINE_MAX], size_t used, struct str text, bool cut)
{
	const size_t end = LOG_LINE_MAX - sizeof LOG_CUT; /* and the newline */
	size_t taken, n;
	char one[24];

	for (; text.n > 0; text.p += taken, text.n -= taken) {
		n = log_escape(one, text, &taken);
		if (used + n > end) {
			cut = true;
			break;
		}
		memcpy(line + used, one, n);
		used += n;
	}
	if (cut) {
		memcpy(line + used, LOG_CUT, sizeof LOG_CUT - 1);
		used += sizeof LOG_CUT - 1;
	}
	line[used++] = '\n';
	return used;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char text[LOG_LINE_MAX], line[LOG_LINE_MAX];
	int saved = errno;
	size_t n;
	va_list ap;
	int r;

	if ((int)level > log_level)
		return;
	va_start(ap, fmt);
	r = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (r < 0)
		return;
	n = log_compose(line, log_prefix(line, sizeof line, level),
	    (struct str){ text, strlen(text) }, (size_t)r >= sizeof text);
	/* a log that cannot be written has nowhere to complain */
	while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
		;
	errno = saved;
}
