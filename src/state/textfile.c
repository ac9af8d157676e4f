/* SPDX-License-Identifier: MIT */
/* textfile: see textfile.h. */
#include "state/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "base/utf8.h"

#define TEXTFILE_TRIES 2

/* What is wrong with the file behind fd; NULL when nothing. */
static const char *
textfile_wrong(const struct stat *st, size_t max)
{
	if (!S_ISREG(st->st_mode))
		return "not a regular file";
	return (uintmax_t)st->st_size > max ? "larger than the limit" : NULL;
}

static bool
textfile_same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Reads n bytes; false with errno, 0 when the file ends early. */
static bool
textfile_bytes(int fd, char *at, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, at, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got == 0 ? 0 : errno;
			return false;
		}
		at += got;
		n -= (size_t)got;
	}
	return true;
}

/* ERR_OK, or ERR_DAMAGED when the file changed meanwhile. */
static enum err
textfile_once(int fd, size_t max, struct buf *out, const char **what)
{
	struct stat before, after;
	size_t n;
	char *at;

	errno = 0;
	*what = "cannot be read";
	if (fstat(fd, &before) != 0)
		return ERR_IO;
	if ((*what = textfile_wrong(&before, max)) != NULL)
		return ERR_INVALID;
	*what = "cannot be read";
	n = (size_t)before.st_size;
	if ((at = buf_room(out, n)) == NULL)
		return ERR_FULL;
	if (!textfile_bytes(fd, at, n))
		return errno == 0 ? ERR_DAMAGED : ERR_IO;
	if (fstat(fd, &after) != 0)
		return ERR_IO;
	if (!textfile_same(&before, &after))
		return ERR_DAMAGED;
	out->len += n;
	return ERR_OK;
}

/* O_NONBLOCK: opening a FIFO would wait for a writer. */
static enum err
textfile_open(const char *path, size_t max, bool follow, bool secret, struct buf *out,
    char **why)
{
	const char *what = "cannot be opened";
	enum err e = ERR_IO;
	int error = 0;

	for (int i = 0; i < TEXTFILE_TRIES; i++) {
		int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));

		error = errno;
		if (fd < 0 && !follow && error == ELOOP) {
			what = "is a symbolic link; name the file itself";
			e = ERR_FORBIDDEN;
		}
		if (fd < 0)
			break;
		if (!secret || (what = crypt_secret_place(fd)) == NULL)
			e = textfile_once(fd, max, out, &what);
		else
			e = ERR_FORBIDDEN;
		error = errno;
		close(fd);
		if (e != ERR_DAMAGED)
			break;
		what = "changes while it is read; write a new file and rename it over the old one";
	}
	if (e == ERR_INVALID)
		*why = mem_printf("%s: %s, expected a regular file of at most %zu bytes", path, what, max);
	else if (e == ERR_DAMAGED || e == ERR_FORBIDDEN)
		*why = mem_printf("%s: %s", path, what);
	else if (e != ERR_OK)
		*why = mem_printf("%s: %s: %s", path, what, strerror(e == ERR_FULL ? ENOMEM : error));
	return e;
}

enum err
textfile_read(const char *path, size_t max, struct buf *out, char **why)
{
	return textfile_open(path, max, true, false, out, why);
}

enum err
textfile_read_member(const char *path, size_t max, struct buf *out, char **why)
{
	return textfile_open(path, max, false, false, out, why);
}

enum err
textfile_read_secret(const char *path, size_t max, struct buf *out, char **why)
{
	return textfile_open(path, max, false, true, out, why);
}

size_t
textfile_bad_utf8(struct str text)
{
	size_t at = 0;

	while (at < text.n) {
		uint32_t c;
		int ok;
		size_t n = utf8_next(text.p + at, text.n - at, &c, &ok);

		if (!ok)
			return at;
		at += n;
	}
	return text.n;
}

bool
textfile_is_utf8(const char *path, struct str text, char **why)
{
	size_t bad = textfile_bad_utf8(text), line = 1;

	if (bad == text.n)
		return true;
	for (size_t i = 0; i < bad; i++)
		line += text.p[i] == '\n';
	*why = mem_printf("%s:%zu: byte %zu of the file is not UTF-8, expected the file to be saved "
	    "as UTF-8", path, line, bad);
	return false;
}

struct textfile_lines
textfile_lines(struct str text)
{
	struct textfile_lines it = { .rest = text };

	if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) {
		it.rest.p += 3;
		it.rest.n -= 3;
	}
	return it;
}

bool
textfile_next(struct textfile_lines *it)
{
	const char *end;
	size_t n;

	if (it->rest.n == 0)
		return false;
	end = memchr(it->rest.p, '\n', it->rest.n);
	n = end != NULL ? (size_t)(end - it->rest.p) : it->rest.n;
	it->line = (struct str){ it->rest.p, n };
	n += end != NULL;
	it->rest.p += n;
	it->rest.n -= n;
	if (it->line.n > 0 && it->line.p[it->line.n - 1] == '\r')
		it->line.n--;
	it->number++;
	return true;
}
