/* SPDX-License-Identifier: MIT */
/* snapshot: see snapshot.h. Knows entries as bytes only. The bytes on disk,
 * little-endian; docs/journal.md says the same:
 *
 *     mark 8, version 4, length of the organisation 4, position 8,
 *     organisation, zeros up to a multiple of 8;
 *     entries: length of the key 4, of the value 4, kind 1, zeros 7,
 *     key, value, zeros up to a multiple of 8;
 *     number of entries 8, hash 32.
 *
 * The hash covers everything before it, in pieces of SNAPSHOT_PIECE bytes (the
 * last one may be shorter): each step is SHA-256(hash so far, piece), from 32
 * zero bytes on. */
#include "state/snapshot.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "state/window.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_HEAD 24
#define SNAPSHOT_ENTRY 16
#define SNAPSHOT_FOOT (8 + CRYPT_SHA256)
#define SNAPSHOT_PIECE ((size_t)64 << 10)
#define SNAPSHOT_PART_MAX ((size_t)1 << 30) /* bytes of a key or a value */

static const uint8_t snapshot_mark[8] = { 0xff, 'L', 'E', 'C', 'T', 'S', 'N', 'P' };

static size_t
snapshot_padded(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static void
snapshot_hash(uint8_t hash[CRYPT_SHA256], const uint8_t *piece, size_t n)
{
	struct str pieces[] = {
		{ (const char *)hash, CRYPT_SHA256 }, { (const char *)piece, n }
	};
	uint8_t next[CRYPT_SHA256];

	crypt_sha256(pieces, 2, next);
	memcpy(hash, next, sizeof next);
}

/* ---- writing ---- */

struct snapshot_writer {
	char *path, *temp;
	int fd;
	uint64_t entries;
	uint8_t hash[CRYPT_SHA256];
	size_t len;       /* bytes of the piece */
	const char *failed; /* the call that failed first, NULL: none */
	int error;        /* its errno */
	uint8_t piece[SNAPSHOT_PIECE];
};

static void
snapshot_failed(struct snapshot_writer *w, const char *what)
{
	w->failed = what;
	w->error = errno;
}

static void
snapshot_write(struct snapshot_writer *w, const uint8_t *p, size_t n)
{
	while (n > 0 && w->failed == NULL) {
		ssize_t put = write(w->fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put == 0)
			errno = ENOSPC;
		if (put <= 0) {
			snapshot_failed(w, "written");
			return;
		}
		p += put;
		n -= (size_t)put;
	}
}

static void
snapshot_flush(struct snapshot_writer *w)
{
	if (w->len == 0)
		return;
	snapshot_hash(w->hash, w->piece, w->len);
	snapshot_write(w, w->piece, w->len);
	w->len = 0;
}

static void
snapshot_put(struct snapshot_writer *w, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n > 0 && w->failed == NULL) {
		size_t part = SNAPSHOT_PIECE - w->len;

		if (part > n)
			part = n;
		memcpy(w->piece + w->len, at, part);
		w->len += part;
		at += part;
		n -= part;
		if (w->len == SNAPSHOT_PIECE)
			snapshot_flush(w);
	}
}

static void
snapshot_pad(struct snapshot_writer *w, size_t written)
{
	static const uint8_t zeros[8];

	snapshot_put(w, zeros, snapshot_padded(written) - written);
}

static void
snapshot_head(struct snapshot_writer *w, struct str organisation, uint64_t position)
{
	uint8_t head[SNAPSHOT_HEAD];
	uint32_t version = htole32(SNAPSHOT_VERSION), n = htole32((uint32_t)organisation.n);

	position = htole64(position);
	memcpy(head, snapshot_mark, 8);
	memcpy(head + 8, &version, 4);
	memcpy(head + 12, &n, 4);
	memcpy(head + 16, &position, 8);
	snapshot_put(w, head, sizeof head);
	snapshot_put(w, organisation.p, organisation.n);
	snapshot_pad(w, organisation.n);
}

/* Whatever stands under the temporary name is the rest of an unfinished one. */
struct snapshot_writer *
snapshot_begin(const char *path, const char *organisation, uint64_t position, char **why)
{
	struct snapshot_writer *w;

	MEM_NEW(w);
	w->path = mem_strdup(path);
	w->temp = mem_printf("%s.new", path);
	if (unlink(w->temp) != 0 && errno != ENOENT)
		w->fd = -1;
	else
		w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->fd < 0) {
		*why = mem_printf("%s: cannot be made: %s", w->temp, strerror(errno));
		mem_free(w->path);
		mem_free(w->temp);
		mem_free(w);
		return NULL;
	}
	snapshot_head(w, str_of(organisation), position);
	return w;
}

void
snapshot_add(struct snapshot_writer *w, uint8_t kind, struct str key, struct str value)
{
	uint8_t head[SNAPSHOT_ENTRY] = { [8] = kind };
	uint32_t k = htole32((uint32_t)key.n), v = htole32((uint32_t)value.n);

	if (w->failed != NULL)
		return;
	if (key.n > SNAPSHOT_PART_MAX || value.n > SNAPSHOT_PART_MAX) {
		errno = EFBIG;
		snapshot_failed(w, "written");
		return;
	}
	memcpy(head, &k, 4);
	memcpy(head + 4, &v, 4);
	snapshot_put(w, head, sizeof head);
	snapshot_put(w, key.p, key.n);
	snapshot_put(w, value.p, value.n);
	snapshot_pad(w, key.n + value.n);
	w->entries++;
}

/* The rename itself is durable once the folder is. */
static void
snapshot_sync_folder(struct snapshot_writer *w)
{
	const char *slash = strrchr(w->path, '/');
	char *folder = slash == NULL ? mem_strdup(".")
	    : mem_dup(w->path, slash == w->path ? 1 : (size_t)(slash - w->path));
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0)
		snapshot_failed(w, "made durable (folder)");
	if (fd >= 0)
		close(fd);
	mem_free(folder);
}

static void
snapshot_finish(struct snapshot_writer *w)
{
	uint64_t entries = htole64(w->entries);

	snapshot_put(w, &entries, sizeof entries);
	snapshot_flush(w);
	snapshot_write(w, w->hash, sizeof w->hash);
	if (w->failed == NULL && fsync(w->fd) != 0)
		snapshot_failed(w, "made durable");
	if (w->failed == NULL && rename(w->temp, w->path) != 0)
		snapshot_failed(w, "put into its place");
	if (w->failed == NULL)
		snapshot_sync_folder(w);
}

enum err
snapshot_commit(struct snapshot_writer *w, char **why)
{
	enum err e = ERR_OK;

	snapshot_finish(w);
	if (w->failed != NULL) {
		e = w->error == ENOSPC || w->error == EDQUOT ? ERR_NO_SPACE : ERR_IO;
		*why = mem_printf("%s: cannot be %s: %s", w->path, w->failed,
		    strerror(w->error));
	}
	snapshot_abort(w);
	return e;
}

/* After a commit nothing stands under the temporary name any more. */
void
snapshot_abort(struct snapshot_writer *w)
{
	close(w->fd);
	unlink(w->temp);
	mem_free(w->path);
	mem_free(w->temp);
	mem_free(w);
}

/* ---- loading ---- */

struct snapshot_file {
	const char *path;
	struct window window;
	uint64_t body; /* where the first entry begins */
	uint64_t foot; /* where the number of entries stands */
	uint64_t entries, position;
};

static enum err
snapshot_wrong(const struct snapshot_file *f, enum err e, const char *what, char **why)
{
	*why = mem_printf("%s: %s", f->path, what);
	return e;
}

static uint32_t
snapshot_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static uint64_t
snapshot_get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

static enum err
snapshot_verify(struct snapshot_file *f, char **why)
{
	uint64_t end = f->foot + 8; /* of what is hashed */
	uint8_t hash[CRYPT_SHA256] = { 0 };
	const uint8_t *p;

	for (uint64_t at = 0, n; at < end; at += n) {
		n = end - at < SNAPSHOT_PIECE ? end - at : SNAPSHOT_PIECE;
		p = window_view(&f->window, at, (size_t)n);
		if (p == NULL)
			return snapshot_wrong(f, ERR_DAMAGED, "was cut while it was read", why);
		snapshot_hash(hash, p, (size_t)n);
	}
	p = window_view(&f->window, end, CRYPT_SHA256);
	if (f->window.failed)
		return snapshot_wrong(f, ERR_IO, "the disk cannot read it", why);
	if (p == NULL || memcmp(p, hash, CRYPT_SHA256) != 0)
		return snapshot_wrong(f, ERR_DAMAGED, "is damaged: its hash does not match", why);
	return ERR_OK;
}

/* Mark and version come first: they say whether the rest means anything. */
static enum err
snapshot_read_head(struct snapshot_file *f, uint64_t size, char **why)
{
	const uint8_t *p;

	if (size < SNAPSHOT_HEAD + SNAPSHOT_FOOT)
		return snapshot_wrong(f, ERR_DAMAGED, "is too short", why);
	p = window_view(&f->window, 0, SNAPSHOT_HEAD);
	if (p == NULL || memcmp(p, snapshot_mark, sizeof snapshot_mark) != 0)
		return snapshot_wrong(f, ERR_INVALID, "is no snapshot", why);
	if (snapshot_get32(p + 8) != SNAPSHOT_VERSION)
		return snapshot_wrong(f, ERR_INVALID, "has another version", why);
	f->body = SNAPSHOT_HEAD + snapshot_padded(snapshot_get32(p + 12));
	f->position = snapshot_get64(p + 16);
	f->foot = size - SNAPSHOT_FOOT;
	if (f->body > f->foot)
		return snapshot_wrong(f, ERR_DAMAGED, "is too short", why);
	return ERR_OK;
}

static enum err
snapshot_check(struct snapshot_file *f, const char *organisation, char **why)
{
	struct str name;
	const uint8_t *p;
	enum err e = snapshot_verify(f, why);

	if (e != ERR_OK)
		return e;
	p = window_view(&f->window, f->foot, 8);
	f->entries = p == NULL ? 0 : snapshot_get64(p);
	p = window_view(&f->window, 0, (size_t)f->body);
	if (p == NULL)
		return snapshot_wrong(f, ERR_DAMAGED, "was cut while it was read", why);
	name = (struct str){ (const char *)p + SNAPSHOT_HEAD, snapshot_get32(p + 12) };
	if (!str_is(name, organisation))
		return snapshot_wrong(f, ERR_INVALID, "belongs to another organisation", why);
	return ERR_OK;
}

static enum err
snapshot_entries(struct snapshot_file *f, snapshot_entry_cb *cb, void *arg, char **why)
{
	uint64_t at = f->body;
	enum err e = ERR_OK;

	for (uint64_t i = 0; e == ERR_OK && i < f->entries; i++) {
		const uint8_t *p = window_view(&f->window, at, SNAPSHOT_ENTRY);
		uint64_t size = p == NULL ? 0 : SNAPSHOT_ENTRY +
		    snapshot_padded((size_t)snapshot_get32(p) + snapshot_get32(p + 4));
		struct str key, value;

		if (size == 0 || size > f->foot - at)
			return snapshot_wrong(f, ERR_DAMAGED, "ends inside an entry", why);
		p = window_view(&f->window, at, (size_t)size);
		if (p == NULL || f->window.failed)
			return snapshot_wrong(f, ERR_IO, "the disk cannot read it", why);
		key = (struct str){ (const char *)p + SNAPSHOT_ENTRY, snapshot_get32(p) };
		value = (struct str){ key.p + key.n, snapshot_get32(p + 4) };
		at += size;
		e = cb(arg, p[8], key, value);
	}
	if (e == ERR_OK && at != f->foot)
		return snapshot_wrong(f, ERR_DAMAGED, "has bytes behind its entries", why);
	return e;
}

static enum err
snapshot_open(struct snapshot_file *f, uint64_t *size, char **why)
{
	int fd = open(f->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return snapshot_wrong(f, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
		    strerror(errno), why);
	window_reset(&f->window, fd, 0);
	if (fstat(fd, &st) != 0)
		return snapshot_wrong(f, ERR_IO, strerror(errno), why);
	if (!S_ISREG(st.st_mode))
		return snapshot_wrong(f, ERR_INVALID, "is not a regular file", why);
	f->window.end = *size = (uint64_t)st.st_size;
	return ERR_OK;
}

enum err
snapshot_load(const char *path, const char *organisation, uint64_t *position,
    snapshot_entry_cb *cb, void *arg, char **why)
{
	struct snapshot_file f = { .path = path, .window.fd = -1 };
	uint64_t size = 0;
	enum err e = snapshot_open(&f, &size, why);

	if (e == ERR_OK)
		e = snapshot_read_head(&f, size, why);
	if (e == ERR_OK)
		e = snapshot_check(&f, organisation, why);
	if (e == ERR_OK)
		e = snapshot_entries(&f, cb, arg, why);
	if (e == ERR_OK)
		*position = f.position;
	if (f.window.fd >= 0)
		close(f.window.fd);
	window_free(&f.window);
	return e;
}
