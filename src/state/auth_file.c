/* SPDX-License-Identifier: MIT */
/* auth_file: users and hashes of their passwords in a file as htpasswd -B and
 * lecternctl passwd write it, "name:hash" a line; '#' lines and blank lines are
 * left out. One wrong line refuses the whole file. Read at the start and by a
 * reload, looked up in memory. */
#include <sys/queue.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/password.h"
#include "state/auth_backends.h"
#include "state/textfile.h"

#define AUTH_FILE_MAX ((size_t)64 << 20)

struct file_answer {
	TAILQ_ENTRY(file_answer) link;
	const char *hash; /* of the map, or NULL */
	auth_hash_cb *cb;
	void *arg;
};

struct auth_file {
	struct map *hashes; /* by JID */
	TAILQ_HEAD(, file_answer) answers;
	struct loop_timer *timer;
};

/* ---- reading ---- */

static void
file_wipe(void *hash)
{
	mem_wipe(hash, strlen(hash));
	mem_free(hash);
}

/* NULL, or what is wrong with the line. The hash is never part of it. */
static const char *
file_line(struct auth_file *f, const struct conf *c, struct str line, struct buf *jid)
{
	const char *colon = memchr(line.p, ':', line.n), *wrong;
	size_t n = colon != NULL ? (size_t)(colon - line.p) : 0;
	char *hash;

	if (colon == NULL || memchr(line.p, '\0', line.n) != NULL)
		return "not name:hash; write it with lecternctl passwd or htpasswd -B";
	buf_clear(jid);
	if (!auth_user(c, (struct str){ line.p, n }, jid))
		return "the name is no JID, expected user@domain, or user and "
		    "auth { domain = ... }";
	if (map_get(f->hashes, buf_view(jid)) != NULL)
		return "this user stands further up already";
	hash = mem_str((struct str){ colon + 1, line.n - n - 1 });
	wrong = password_hash_wrong(hash);
	if (wrong == NULL)
		map_put(f->hashes, buf_view(jid), hash);
	else
		file_wipe(hash);
	return wrong;
}

static bool
file_lines(struct auth_file *f, const struct conf *c, struct str text, char **why)
{
	struct textfile_lines it = textfile_lines(text);
	struct buf jid = BUF_INIT(0);
	const char *wrong = NULL;

	while (wrong == NULL && textfile_next(&it))
		if (it.line.n > 0 && it.line.p[0] != '#')
			wrong = file_line(f, c, it.line, &jid);
	if (wrong != NULL)
		*why = mem_printf("%s:%zu: %s", c->auth_file, it.number, wrong);
	buf_free(&jid);
	return wrong == NULL;
}

static void auth_file_close(void *store);

static void file_answer_cb(void *arg);

static void *
auth_file_open(const struct auth_options *o, char **why)
{
	struct buf text = BUF_INIT(AUTH_FILE_MAX);
	struct auth_file *f;
	bool ok;

	MEM_NEW(f);
	f->hashes = map_new();
	TAILQ_INIT(&f->answers);
	f->timer = loop_timer_new(o->loop, file_answer_cb, f);
	ok = textfile_read_secret(o->conf->auth_file, AUTH_FILE_MAX, &text, why) == ERR_OK &&
	    file_lines(f, o->conf, buf_view(&text), why);
	if (text.data != NULL)
		mem_wipe(text.data, text.cap);
	buf_free(&text);
	if (ok)
		return f;
	auth_file_close(f);
	return NULL;
}

/* ---- answering ---- */

/* One a turn; whoever is called may close us. */
static void
file_answer_cb(void *arg)
{
	struct auth_file *f = arg;
	struct file_answer *first = TAILQ_FIRST(&f->answers), a = *first;

	TAILQ_REMOVE(&f->answers, first, link);
	mem_free(first);
	if (!TAILQ_EMPTY(&f->answers))
		loop_timer_once(f->timer, 0);
	a.cb(a.arg, a.hash != NULL ? ERR_OK : ERR_NOT_FOUND, a.hash);
}

static void
auth_file_find(void *store, struct str user, auth_hash_cb *cb, void *arg)
{
	struct auth_file *f = store;
	struct file_answer *a;

	MEM_NEW(a);
	*a = (struct file_answer){ .hash = map_get(f->hashes, user), .cb = cb, .arg = arg };
	TAILQ_INSERT_TAIL(&f->answers, a, link);
	loop_timer_once(f->timer, 0);
}

static void
auth_file_close(void *store)
{
	struct auth_file *f = store;
	struct file_answer *a;

	while ((a = TAILQ_FIRST(&f->answers)) != NULL) {
		TAILQ_REMOVE(&f->answers, a, link);
		mem_free(a);
	}
	loop_timer_free(f->timer);
	map_free(f->hashes, file_wipe);
	mem_free(f);
}

const struct auth_backend auth_file = {
	.name = "file",
	.open = auth_file_open,
	.find = auth_file_find,
	.close = auth_file_close,
};
