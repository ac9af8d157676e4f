/* SPDX-License-Identifier: MIT */
/* ctl/doctor_host: what lies on this machine: configuration, secrets, the state
 * folder, the roster. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "ctl/doctor.h"

#define DOCTOR_DISK_FREE_MIN (1ull << 30) /* bytes */

bool
doctor_conf(struct doctor *d)
{
	struct buf causes = BUF_INIT(0);
	const char *path = d->path != NULL ? d->path : LECTERN_CONF;
	struct doctor_check *c;

	d->conf = conf_read(path, &causes);
	if (d->conf != NULL) {
		doctor_found(d, DOCTOR_OK, "configuration", NULL, -1, "%s", path);
	} else {
		c = doctor_found(d, DOCTOR_WRONG, "configuration", "configuration", -1,
		    "%s is not right:", path);
		buf_str(&c->advice, buf_view(&causes));
	}
	buf_free(&causes);
	return d->conf != NULL;
}

/* ---- secrets ---- */

/* What the file holds, or NULL; the caller wipes it. */
static char *
doctor_secret(struct doctor *d, const char *option, const char *path)
{
	char *why = NULL, *secret = crypt_secret_read(path, &why);

	if (secret != NULL)
		doctor_found(d, DOCTOR_OK, "secret", NULL, -1, "%s %s: readable, closed to others",
		    option, path);
	else
		doctor_found(d, DOCTOR_WRONG, "secret", "secret", -1, "%s: %s", option, why);
	mem_free(why);
	return secret;
}

static void
doctor_secret_only(struct doctor *d, const char *option, const char *path)
{
	char *secret = doctor_secret(d, option, path);

	if (secret != NULL)
		mem_wipe(secret, strlen(secret));
	mem_free(secret);
}

static void
doctor_tls_key(struct doctor *d)
{
	const char *path = d->conf->tls_key;
	struct stat st;

	if (path == NULL)
		return;
	if (stat(path, &st) != 0 || access(path, R_OK) != 0)
		doctor_found(d, DOCTOR_WRONG, "secret", "tls_key", -1, "listen.tls_key %s: %s; "
		    "let the daemon's user read it", path, strerror(errno));
	else if ((st.st_mode & (S_IWGRP | S_IRWXO)) != 0)
		doctor_found(d, DOCTOR_WRONG, "secret", "tls_key", -1, "listen.tls_key %s is open "
		    "to others; chmod 0640 or 0600", path);
	else
		doctor_found(d, DOCTOR_OK, "secret", NULL, -1, "listen.tls_key %s: readable, closed "
		    "to others", path);
}

void
doctor_secrets(struct doctor *d)
{
	const struct conf *c = d->conf;

	d->key = doctor_secret(d, "key_file", c->key_file);
	if (c->token_key_file != NULL)
		doctor_secret_only(d, "identity.token_key_file", c->token_key_file);
	for (size_t i = 0; i < c->n_components; i++) {
		bool first = c->components[i].secret_file != NULL;

		for (size_t k = 0; k < i && first; k++)
			first = c->components[k].secret_file == NULL ||
			    strcmp(c->components[k].secret_file, c->components[i].secret_file) != 0;
		if (first)
			doctor_secret_only(d, "component.secret_file", c->components[i].secret_file);
	}
	doctor_tls_key(d);
}

/* ---- state folder ---- */

static void
doctor_disk(struct doctor *d, const char *dir)
{
	struct statvfs v;
	unsigned long long room;

	if (statvfs(dir, &v) != 0)
		return;
	room = (unsigned long long)v.f_bavail * v.f_frsize;
	if (room < DOCTOR_DISK_FREE_MIN)
		doctor_found(d, DOCTOR_WRONG, "disk", "disk", -1, "%s has %llu MiB left: when the "
		    "disk is full nothing is accepted; make room", dir, room >> 20);
	else
		doctor_found(d, DOCTOR_OK, "disk", NULL, -1, "%s has %llu GiB left", dir, room >> 30);
}

void
doctor_state_dir(struct doctor *d)
{
	const char *dir = d->conf->state_dir;
	struct stat st;

	if (stat(dir, &st) != 0)
		doctor_found(d, DOCTOR_WRONG, "state_dir", "state_dir", -1, "%s: %s; create it and "
		    "give it to the user of lecternd", dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		doctor_found(d, DOCTOR_WRONG, "state_dir", "state_dir", -1, "%s is not a folder", dir);
	else if ((st.st_mode & 022) != 0)
		doctor_found(d, DOCTOR_WRONG, "state_dir", "state_dir", -1, "others may write to %s; "
		    "chmod 0700 %s", dir, dir);
	else if (access(dir, R_OK | W_OK | X_OK) != 0)
		doctor_found(d, DOCTOR_WRONG, "state_dir", "state_dir", -1, "%s: %s; give it to the "
		    "user of lecternd", dir, strerror(errno));
	else
		doctor_found(d, DOCTOR_OK, "state_dir", NULL, -1, "%s", dir);
	doctor_disk(d, dir);
}

/* ---- roster ---- */

static size_t
doctor_teacherless(const struct roster *r)
{
	size_t n = 0;

	for (size_t i = 0; i < roster_classes(r); i++)
		n += roster_class_at(r, i)->n_teachers == 0;
	return n;
}

void
doctor_roster(struct doctor *d)
{
	struct roster_options o = roster_options_of(d->conf, str_of(d->key));
	double start = doctor_now();
	char *why = NULL;
	size_t n;

	if (d->key == NULL) {
		doctor_found(d, DOCTOR_NOTE, "roster", "not_looked_at", -1, "not looked at: it needs "
		    "the organisation's key");
		return;
	}
	d->roster = roster_load(d->conf->roster_backend, &o, &why);
	if (d->roster == NULL)
		doctor_found(d, DOCTOR_WRONG, "roster", "roster", -1, "%s", why);
	else
		doctor_found(d, DOCTOR_OK, "roster", NULL, doctor_now() - start,
		    "%s: %zu classes, %zu students", roster_place(d->conf),
		    roster_classes(d->roster), roster_students(d->roster));
	if (d->roster != NULL && (n = doctor_teacherless(d->roster)) > 0)
		doctor_found(d, DOCTOR_NOTE, "roster", "no_teacher", -1, "%zu classes have no "
		    "teacher: nobody can see them", n);
	mem_free(why);
}
