/* SPDX-License-Identifier: MIT */
/* roster_copy: see roster_copy.h. The tables of a roster in SQLite; its user_version
 * tells the source. */
#include "state/roster_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "base/sqlite.h"

#define COPY_NAME "roster.copy"

/* ---- whose it is ---- */

static bool
copy_is_kept(const char *backend)
{
	char *why = NULL;
	const struct roster_backend *b = roster_backend(backend, &why);

	mem_free(why);
	return b != NULL && b->remote;
}

/* Two sources that share these 31 bits are as good as never met. */
static int32_t
copy_mark(const char *backend, const struct roster_options *o)
{
	const struct str zero = { "", 1 };
	const struct str pieces[] = { str_of(backend), zero, str_of(o->conf->postgres_conninfo), zero,
		str_of(o->domain) };
	uint8_t hash[CRYPT_SHA256];

	crypt_sha256(pieces, sizeof pieces / sizeof *pieces, hash);
	return (int32_t)((hash[0] & 0x7fu) << 24 | hash[1] << 16 | hash[2] << 8 | hash[3]);
}

static char *
copy_path(const struct roster_options *o, const char *more)
{
	return mem_printf("%s/" COPY_NAME "%s", o->conf->state_dir, more);
}

/* ---- put ---- */

static enum err
copy_set_mark(const char *path, int32_t mark, char **why)
{
	struct sqlite_options open = { .file = path, .durable = true };
	struct sqlite *db = sqlite_open(&open, why);
	char sql[64];
	enum err e;

	if (db == NULL)
		return ERR_IO;
	snprintf(sql, sizeof sql, "PRAGMA user_version = %ld", (long)mark);
	e = sqlite_exec(db, "PRAGMA journal_mode = DELETE");
	if (e == ERR_OK)
		e = sqlite_exec(db, sql);
	if (e != ERR_OK)
		*why = mem_strdup(sqlite_trouble(db));
	sqlite_close(db);
	return e;
}

static enum err
copy_write(const char *path, int32_t mark, const struct roster *r, char **why)
{
	struct roster_options to = { .file = path };
	enum err e = roster_sqlite.init(&to, why);

	if (e == ERR_OK)
		e = roster_sqlite.save(&to, r, why);
	return e == ERR_OK ? copy_set_mark(path, mark, why) : e;
}

/* Renames, and sees to it that the folder knows on the disk. */
static enum err
copy_into_place(const char *from, const char *to, const char *folder, char **why)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && rename(from, to) == 0 && fsync(fd) == 0;

	if (!ok)
		*why = mem_printf("%s: %s", to, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok ? ERR_OK : ERR_IO;
}

/* What SQLite may have left there, too, of a daemon that was killed. */
static void
copy_remove(const char *path)
{
	static const char *const beside[] = { "", "-journal", "-wal", "-shm" };

	for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
		char *one = mem_printf("%s%s", path, beside[i]);

		(void)unlink(one); /* mostly there is none */
		mem_free(one);
	}
}

enum err
roster_copy_put(const char *backend, const struct roster_options *o, const struct roster *r,
    char **why)
{
	char *new = copy_path(o, ".new"), *path = copy_path(o, "");
	bool kept = copy_is_kept(backend);
	enum err e = ERR_OK;

	copy_remove(new);
	if (kept)
		e = copy_write(new, copy_mark(backend, o), r, why);
	if (kept && e == ERR_OK)
		e = copy_into_place(new, path, o->conf->state_dir, why);
	if (!kept || e != ERR_OK) { /* the one before may let in who is let in no more */
		copy_remove(new);
		copy_remove(path);
	}
	mem_free(new);
	mem_free(path);
	return e;
}

/* ---- get ---- */

static bool
copy_has_mark(const char *path, int32_t mark, char **why)
{
	struct sqlite_options open = { .file = path, .read_only = true };
	struct sqlite *db = sqlite_open(&open, why);
	int64_t found = -1;
	bool same;

	if (db == NULL)
		return false;
	same = sqlite_value(db, "PRAGMA user_version", &found) == ERR_OK && found == mark;
	if (!same)
		*why = mem_printf("%s: of another source", path);
	sqlite_close(db);
	return same;
}

/* JIDs are what they were, so no domain makes new ones; and a roster that was empty
 * was allowed to be. */
static struct roster *
copy_read(const char *path, const struct roster_options *o, char **why)
{
	struct roster_options from = *o;

	from.file = path;
	from.domain = NULL;
	from.allow_empty = true;
	return roster_load(roster_sqlite.name, &from, why);
}

struct roster *
roster_copy_get(const char *backend, const struct roster_options *o, int64_t *put_s, char **why)
{
	char *path = copy_path(o, "");
	struct roster *r = NULL;
	struct stat st;

	if (!copy_is_kept(backend))
		*why = NULL;
	else if (stat(path, &st) != 0)
		*why = mem_printf("there is no copy of it in %s", o->conf->state_dir);
	else if (copy_has_mark(path, copy_mark(backend, o), why))
		r = copy_read(path, o, why);
	if (r != NULL)
		*put_s = st.st_mtim.tv_sec;
	mem_free(path);
	return r;
}
