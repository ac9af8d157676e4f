/* SPDX-License-Identifier: MIT */
/* journal_dir: the folder of a journal: its lock, the list of its segments, and
 * everything for which a journal is refused in words. Changes no segment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "state/journal_priv.h"

#define JOURNAL_SUFFIX ".journal"
#define JOURNAL_DIGITS 8

const char *
journal_name(uint32_t number, char out[JOURNAL_NAME])
{
	snprintf(out, JOURNAL_NAME, "%0*u" JOURNAL_SUFFIX, JOURNAL_DIGITS, number);
	return out;
}

/* Whether path is a folder into which only its owner may write: others could
 * replace segments under us. */
static enum err
journal_dir_check(const struct journal_dir *d, char **why)
{
	struct stat st;

	if (fstat(d->fd, &st) != 0) {
		*why = mem_printf("%s: cannot be examined: %s", d->path, strerror(errno));
		return ERR_IO;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		*why = mem_printf("%s: others than its owner may write into it (mode %04o); "
		    "chmod 0700 it after making sure that its files are the right ones",
		    d->path, (unsigned)(st.st_mode & 07777));
		return ERR_FORBIDDEN;
	}
	return ERR_OK;
}

/* The new folder's name must be as durable as what will be in it. */
static enum err
journal_dir_make(const char *path, char **why)
{
	char *parent;
	int fd;
	bool done;

	if (mkdir(path, 0700) != 0) {
		if (errno == EEXIST)
			return ERR_OK;
		*why = mem_printf("%s: cannot be made: %s", path, strerror(errno));
		return ERR_IO;
	}
	parent = mem_printf("%s/..", path);
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	done = fd >= 0 && journal_io.fsync(fd) == 0;
	if (!done)
		*why = mem_printf("%s: cannot be synced: %s", parent, strerror(errno));
	if (fd >= 0)
		close(fd);
	mem_free(parent);
	return done ? ERR_OK : ERR_IO;
}

enum err
journal_dir_open(struct journal_dir *d, const char *path, const char *organisation, bool make,
    char **why)
{
	*d = (struct journal_dir){ .fd = -1 };
	if (strlen(organisation) > SEGMENT_ORGANISATION) {
		*why = mem_printf("the organisation's name is longer than %d bytes",
		    SEGMENT_ORGANISATION);
		return ERR_INVALID;
	}
	if (make && journal_dir_make(path, why) != ERR_OK)
		return ERR_IO;
	d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0) {
		enum err e = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;

		*why = mem_printf("%s: cannot be opened: %s", path, strerror(errno));
		return e;
	}
	d->path = mem_strdup(path);
	d->organisation = mem_strdup(organisation);
	return make ? journal_dir_check(d, why) : ERR_OK;
}

void
journal_dir_close(struct journal_dir *d)
{
	if (d->fd >= 0)
		close(d->fd);
	mem_free(d->path);
	mem_free(d->organisation);
	mem_free(d->v);
	*d = (struct journal_dir){ .fd = -1 };
}

/* ---- lock ---- */

/* Who holds the lock, as the holder wrote it down. */
static enum err
journal_lock_held(const struct journal_dir *d, int fd, char **why)
{
	char text[24];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strspn(text, "0123456789")] = '\0';
	*why = mem_printf("%s: another process%s%s writes this journal", d->path,
	    *text ? ", pid " : "", text);
	return ERR_LOCKED;
}

enum err
journal_dir_lock(const struct journal_dir *d, int *lock, char **why)
{
	int fd = openat(d->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum err e = ERR_OK;
	char text[24];
	int n;

	if (fd < 0) {
		*why = mem_printf("%s/lock: cannot be opened: %s", d->path, strerror(errno));
		return ERR_IO;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			e = journal_lock_held(d, fd, why);
		else {
			*why = mem_printf("%s/lock: %s", d->path, strerror(errno));
			e = ERR_IO;
		}
		close(fd);
		return e;
	}
	/* The number is a help for people; a full disk must not keep us out. */
	n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
		log_warning("journal lock=%s/lock does not name us: %s", d->path, strerror(errno));
	*lock = fd;
	return ERR_OK;
}

/* ---- list ---- */

static enum err
journal_refuse(const struct journal_dir *d, uint32_t number, char **why, const char *what)
{
	char name[JOURNAL_NAME];

	*why = mem_printf("%s/%s: %s", d->path, journal_name(number, name), what);
	return ERR_INVALID;
}

/* The number in the name of a segment, 0 for any other file's name, -1 for one
 * that looks like a segment's and is none. */
static long
journal_number(const char *name)
{
	size_t n = strlen(name), suffix = sizeof JOURNAL_SUFFIX - 1;
	long number;

	if (n < suffix || strcmp(name + n - suffix, JOURNAL_SUFFIX) != 0)
		return 0;
	if (n != JOURNAL_DIGITS + suffix || strspn(name, "0123456789") != JOURNAL_DIGITS)
		return -1;
	number = strtol(name, NULL, 10);
	return number > 0 ? number : -1;
}

static void
journal_dir_add(struct journal_dir *d, uint32_t number)
{
	if ((d->n & (d->n - 1)) == 0)
		d->v = mem_realloc(d->v, (d->n ? 2 * d->n : 1) * sizeof *d->v);
	d->v[d->n++] = (struct journal_segment){ .number = number };
}

static int
journal_segment_cmp(const void *a, const void *b)
{
	const struct journal_segment *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static enum err
journal_dir_names(struct journal_dir *d, char **why)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir != NULL && (errno = 0, entry = readdir(dir)) != NULL) {
		long number = journal_number(entry->d_name);

		if (number < 0) {
			*why = mem_printf("%s/%s: no segment has such a name; was one copied "
			    "or renamed? Move it out of the folder", d->path, entry->d_name);
			closedir(dir);
			return ERR_INVALID;
		}
		if (number > 0)
			journal_dir_add(d, (uint32_t)number);
	}
	if (errno != 0) {
		*why = mem_printf("%s: cannot be listed: %s", d->path, strerror(errno));
		if (dir != NULL)
			closedir(dir);
		else if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	closedir(dir);
	if (d->n > 0)
		qsort(d->v, d->n, sizeof *d->v, journal_segment_cmp);
	return ERR_OK;
}

/* Reads up to SEGMENT_HEADER bytes of a segment; negative with errno. */
static ssize_t
journal_header_load(int fd, uint8_t head[SEGMENT_HEADER])
{
	size_t n = 0;
	ssize_t got;

	do {
		got = pread(fd, head + n, SEGMENT_HEADER - n, (off_t)n);
		n += got > 0 ? (size_t)got : 0;
	} while ((got > 0 && n < SEGMENT_HEADER) || (got < 0 && errno == EINTR));
	return got < 0 ? -1 : (ssize_t)n;
}

/* A second name of the file (a hard link) could change it behind our back. */
static const char *
journal_file_check(int fd)
{
	struct stat st;

	if (fd < 0)
		return errno == ELOOP ? "is a symbolic link" : strerror(errno);
	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "is not a regular file";
	return st.st_nlink == 1 ? NULL : "has a second name (hard link)";
}

/* What a header says, against what is to be expected of segment s. */
static enum err
journal_header_check(struct journal_dir *d, struct journal_segment *s, uint32_t version,
    char **why)
{
	char text[2 * SEGMENT_ORGANISATION + 100];

	switch (s->state) {
	case SEGMENT_FOREIGN:
		return journal_refuse(d, s->number, why, "is no journal segment");
	case SEGMENT_STRANGE:
		snprintf(text, sizeof text, "has version %u or features of a later one; "
		    "this program reads version %d", version, SEGMENT_VERSION);
		return journal_refuse(d, s->number, why, text);
	case SEGMENT_TORN:
		if (s != d->v + d->n - 1)
			return journal_refuse(d, s->number, why,
			    "is empty or cut off within its header, and is not the last one");
		d->torn = s->number; /* the process ended while it made the file */
		return ERR_OK;
	case SEGMENT_BROKEN:
		return ERR_OK;
	case SEGMENT_GOOD:
	case SEGMENT_BENT:
		break;
	}
	if (s->header.number != s->number) {
		snprintf(text, sizeof text, "calls itself segment %u: it was copied or renamed",
		    s->header.number);
		return journal_refuse(d, s->number, why, text);
	}
	if (strcmp(s->header.organisation, d->organisation) != 0) {
		snprintf(text, sizeof text, "belongs to the organisation \"%s\", not to \"%s\"",
		    s->header.organisation, d->organisation);
		return journal_refuse(d, s->number, why, text);
	}
	return ERR_OK;
}

static enum err
journal_dir_header(struct journal_dir *d, struct journal_segment *s, char **why)
{
	char name[JOURNAL_NAME];
	int fd = openat(d->fd, journal_name(s->number, name),
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *wrong = journal_file_check(fd);
	uint8_t head[SEGMENT_HEADER];
	uint32_t version = 0;
	ssize_t n = 0;

	if (wrong == NULL && (n = journal_header_load(fd, head)) < 0)
		wrong = strerror(errno);
	if (fd >= 0)
		close(fd);
	if (wrong != NULL)
		return journal_refuse(d, s->number, why, wrong);
	s->state = segment_header_decode(head, (size_t)n, &s->header, &version);
	return journal_header_check(d, s, version, why);
}

enum err
journal_dir_list(struct journal_dir *d, char **why)
{
	enum err e = journal_dir_names(d, why);

	for (size_t i = 0; e == ERR_OK && i < d->n; i++) {
		if (d->v[i].number != i + 1)
			return journal_refuse(d, (uint32_t)i + 1, why,
			    "is missing; put it back, its records are part of the journal");
		e = journal_dir_header(d, &d->v[i], why);
	}
	if (e == ERR_OK && d->torn != 0)
		d->n--;
	return e;
}

size_t
journal_dir_start(const struct journal_dir *d, uint64_t after)
{
	size_t start = 0;

	for (size_t i = 1; i < d->n; i++) {
		if (d->v[i].state != SEGMENT_BROKEN && d->v[i].header.first_seq - 1 <= after)
			start = i;
	}
	while (start > 0 &&
	    (d->v[start].state == SEGMENT_BROKEN || d->v[start].header.continued))
		start--;
	return start;
}
