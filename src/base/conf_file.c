/* SPDX-License-Identifier: MIT */
/* conf_file: the bytes of the configuration file, and the list of causes.
 * Knows nothing of what the text means. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf_priv.h"
#include "base/mem.h"

#define CONF_CAUSE_MAX 1024 /* bytes of one cause */

void
conf_cause(struct conf_causes *c, int line, const char *fmt, ...)
{
	char text[CONF_CAUSE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (line > 0)
		buf_printf(c->out, "%s:%d: %s\n", c->path, line, text);
	else
		buf_printf(c->out, "%s: %s\n", c->path, text);
	c->n++;
}

static const char *
conf_file_kind(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	return S_ISFIFO(mode) ? "a FIFO" : "a device or socket";
}

static bool
conf_file_check(struct conf_causes *c, int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		conf_cause(c, 0, "cannot be read: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		conf_cause(c, 0, "is %s, expected a regular file", conf_file_kind(st.st_mode));
	else if ((st.st_mode & S_IWOTH) != 0)
		conf_cause(c, 0, "anybody may write to it, expected mode 0644 or stricter");
	else
		return true;
	return false;
}

/* Up to its end or one byte beyond the limit: the size that fstat tells may
 * change meanwhile. */
static bool
conf_file_bytes(struct conf_causes *c, int fd, struct buf *out)
{
	size_t limit = CONF_FILE_MAX + 1;

	while (out->len < limit) {
		char *at = buf_room(out, limit - out->len);
		ssize_t n = read(fd, at, limit - out->len);

		if (n == 0)
			return true;
		if (n > 0) {
			out->len += (size_t)n;
		} else if (errno != EINTR) {
			conf_cause(c, 0, "cannot be read: %s", strerror(errno));
			return false;
		}
	}
	conf_cause(c, 0, "is larger than %zu bytes", CONF_FILE_MAX);
	return false;
}

/* O_NONBLOCK: opening a FIFO would wait for a writer. */
bool
conf_file_read(struct conf_causes *c, struct buf *out)
{
	int fd = open(c->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	bool ok;

	if (fd < 0) {
		conf_cause(c, 0, "cannot be opened: %s", strerror(errno));
		return false;
	}
	ok = conf_file_check(c, fd) && conf_file_bytes(c, fd, out);
	close(fd);
	return ok;
}
