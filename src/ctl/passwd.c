/* SPDX-License-Identifier: MIT */
/* ctl/passwd: writes a user's password where the first of the configured backends
 * that can be written keeps it, and takes users out of there. In the password file,
 * written as htpasswd -B would, every other line stays as it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/password.h"
#include "ctl/ctl.h"
#include "ctl/password.h"
#include "state/auth_backends.h"
#include "state/textfile.h"

#define PASSWD_FILE_MAX ((size_t)64 << 20)

struct passwd {
	const struct conf *conf;
	const char *path;
	char *hash;          /* NULL: the user goes */
	struct buf jid, old, next;
	mode_t mode;
	uid_t owner;
	gid_t group;
	bool known;
};

static int
passwd_fail(const char *path, const char *what)
{
	fprintf(stderr, "lecternctl: %s: %s: %s\n", path, what, strerror(errno));
	return EX_IOERR;
}

/* A new place for passwords can be read by whom the configuration is for: its group,
 * which is the daemon's, unless it is closed to that. */
static void
passwd_new(struct passwd *p)
{
	struct stat st;

	p->mode = 0600;
	p->owner = geteuid();
	p->group = getegid();
	if (stat(p->conf->path, &st) != 0 || (geteuid() != 0 && st.st_gid != getegid()))
		return;
	p->mode |= st.st_mode & S_IRGRP;
	p->group = st.st_gid;
}

/* The old file, if there is one. */
static int
passwd_read(struct passwd *p)
{
	struct stat st;
	char *why = NULL;

	passwd_new(p);
	if (lstat(p->path, &st) != 0)
		return errno == ENOENT ? EX_OK : passwd_fail(p->path, "cannot be examined");
	p->mode = st.st_mode & 0777;
	p->owner = st.st_uid;
	p->group = st.st_gid;
	if (textfile_read_secret(p->path, PASSWD_FILE_MAX, &p->old, &why) == ERR_OK)
		return EX_OK;
	fprintf(stderr, "lecternctl: %s\n", why);
	mem_free(why);
	return EX_DATAERR;
}

static bool
passwd_is_users(const struct passwd *p, struct str line)
{
	const char *colon = line.n > 0 && line.p[0] != '#' ? memchr(line.p, ':', line.n) : NULL;
	struct buf jid = BUF_INIT(0);
	bool is = colon != NULL &&
	    auth_user(p->conf, (struct str){ line.p, (size_t)(colon - line.p) }, &jid) &&
	    str_eq(buf_view(&jid), buf_view(&p->jid));

	buf_free(&jid);
	return is;
}

static void
passwd_put(struct passwd *p)
{
	buf_str(&p->next, buf_view(&p->jid));
	buf_printf(&p->next, ":%s\n", p->hash);
}

/* The new hash stands where the old one stood, or at the end. */
static void
passwd_rewrite(struct passwd *p)
{
	struct textfile_lines it = textfile_lines(buf_view(&p->old));

	while (textfile_next(&it)) {
		if (!passwd_is_users(p, it.line)) {
			buf_str(&p->next, it.line);
			buf_byte(&p->next, '\n');
			continue;
		}
		if (p->hash != NULL && !p->known)
			passwd_put(p);
		p->known = true;
	}
	if (p->hash != NULL && !p->known)
		passwd_put(p);
}

static bool
passwd_write(int fd, struct str text)
{
	while (text.n > 0) {
		ssize_t n = write(fd, text.p, text.n);

		if (n < 0)
			return false;
		text.p += n;
		text.n -= (size_t)n;
	}
	return fsync(fd) == 0;
}

/* A new file beside the old one, with its owner and mode, takes its place. */
static int
passwd_replace(struct passwd *p)
{
	char *beside = mem_printf("%s.new", p->path);
	int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), status;

	if (fd < 0) {
		status = passwd_fail(beside, "cannot be created");
	} else if (fchown(fd, p->owner, p->group) != 0 || fchmod(fd, p->mode) != 0 ||
	    !passwd_write(fd, buf_view(&p->next))) {
		status = passwd_fail(beside, "cannot be written");
		unlink(beside);
	} else if (rename(beside, p->path) != 0) {
		status = passwd_fail(p->path, "cannot be replaced");
		unlink(beside);
	} else {
		status = EX_OK;
	}
	if (fd >= 0 && close(fd) != 0 && status == EX_OK)
		status = passwd_fail(p->path, "cannot be closed");
	mem_free(beside);
	return status;
}

static int
passwd_change(struct passwd *p)
{
	int status = passwd_read(p);

	if (status != EX_OK)
		return status;
	passwd_rewrite(p);
	if (p->hash == NULL && !p->known) {
		fprintf(stderr, "lecternctl: %s has no user %.*s\n", p->path,
		    STR_ARG(buf_view(&p->jid)));
		return EX_NOUSER;
	}
	return passwd_replace(p);
}

static int
passwd_hash(struct passwd *p, const char *file, const char *user)
{
	char *password = ctl_password(file, "LECTERN_PASSWORD", user);

	if (password == NULL)
		return EX_NOINPUT;
	p->hash = password_hash(password);
	mem_wipe(password, strlen(password));
	mem_free(password);
	if (p->hash != NULL)
		return EX_OK;
	fprintf(stderr, "lecternctl: a password has 1 to %d bytes\n", PASSWORD_MAX);
	return EX_DATAERR;
}

/* In a database: at once in force. */
static int
passwd_set(struct passwd *p, const struct auth_backend *b)
{
	char *why = NULL;
	const char *file = b == &auth_sqlite ? p->conf->auth_database : NULL;
	bool fresh = file != NULL && access(file, F_OK) != 0;
	enum err e = b->set(p->conf, buf_view(&p->jid), p->hash, &why);

	passwd_new(p);
	if (fresh && e == ERR_OK && (chown(file, p->owner, p->group) != 0 || chmod(file, p->mode) != 0))
		return passwd_fail(file, "cannot be given to the group of the configuration");
	if (e == ERR_OK)
		return EX_OK;
	if (e == ERR_NOT_FOUND)
		fprintf(stderr, "lecternctl: %s has no user %.*s\n", b->name, STR_ARG(buf_view(&p->jid)));
	else
		fprintf(stderr, "lecternctl: %s\n", why);
	mem_free(why);
	return e == ERR_NOT_FOUND ? EX_NOUSER : EX_IOERR;
}

/* The first backend that keeps passwords; NULL when none does. */
static const struct auth_backend *
passwd_backend(const struct conf *c)
{
	for (size_t i = 0; i < c->auth_backends.n; i++) {
		char *why = NULL;
		const struct auth_backend *b = auth_backend(c->auth_backends.v[i], &why);

		mem_free(why);
		if (b != NULL && (b->set != NULL || b == &auth_file))
			return b;
	}
	return c->auth_file != NULL ? &auth_file : NULL;
}

static int
passwd_run(const struct conf *c, const char *user, const char *password_file, bool gone)
{
	struct passwd p = { .conf = c, .path = c->auth_file };
	const struct auth_backend *b = passwd_backend(c);
	int status = EX_OK;

	if (b == NULL) {
		fprintf(stderr, "%s: auth: file is not set, expected auth { backends = { \"file\" } "
		    "file = ... }, or another backend that keeps passwords\n", c->path);
		return EX_CONFIG;
	}
	if (!auth_user(c, str_of(user), &p.jid)) {
		fprintf(stderr, "lecternctl: \"%s\" is no JID, expected user@domain, or user and "
		    "auth { domain = ... }\n", user);
		return EX_DATAERR;
	}
	if (!gone)
		status = passwd_hash(&p, password_file, user);
	if (status == EX_OK)
		status = b->set != NULL ? passwd_set(&p, b) : passwd_change(&p);
	if (status == EX_OK)
		puts(b->set != NULL ? "written" : "written; lecternctl reload lets it take effect");
	mem_free(p.hash);
	buf_free(&p.jid);
	buf_free(&p.old);
	buf_free(&p.next);
	return status;
}

int
ctl_passwd(int argc, char **argv)
{
	const char *file = ctl_option(&argc, argv, "--password-file");
	bool gone = ctl_flag(&argc, argv, "--delete");
	struct conf *c = ctl_conf(&argc, argv);
	int status;

	if (c == NULL)
		return EX_CONFIG;
	if (argc != 2) {
		fputs("usage: lecternctl passwd [-c FILE] [--password-file FILE | --delete] USER\n",
		    stderr);
		conf_free(c);
		return EX_USAGE;
	}
	status = passwd_run(c, argv[1], file, gone);
	conf_free(c);
	return status;
}
