/* SPDX-License-Identifier: MIT */
/* kvs_disk: states in a SQLite file. What is asked stands in one queue; a job in
 * the pool does all of it that is there, in order and in one transaction, while the
 * next gathers. The file is the database's, and so are its locks and its recovery. */
#include <sys/queue.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sqlite.h"
#include "state/kvs_backends.h"

#define KVS_DISK_GATHER ((size_t)4 << 20) /* bytes of puts that start a job */
#define KVS_DISK_ROWS 256                 /* of a scan in one job */
#define KVS_DISK_BYTES ((size_t)16 << 20) /* of such rows, about */
#define KVS_DISK_FORMAT 1                 /* user_version; raise when the table changes */
#define KVS_DISK_MARK 1281779572          /* application_id: "Lect" */

enum kvs_op_kind { KVS_OP_GET, KVS_OP_PUT, KVS_OP_REMOVE, KVS_OP_SCAN, KVS_OP_FLUSH };

struct kvs_row {
	size_t key, key_n, value, value_n; /* in kvs_op.data */
};

struct kvs_op {
	STAILQ_ENTRY(kvs_op) next;
	enum kvs_op_kind kind;
	struct str key;    /* a scan's prefix */
	struct buf from;   /* a scan goes on behind this key */
	struct str value;  /* of a put */
	kvs_get_cb *get;
	kvs_scan_cb *scan;
	kvs_done_cb *done;
	void *arg;
	/* the answer */
	enum err result;
	bool more;         /* the scan is not at its end */
	struct buf data;
	struct kvs_row *rows; /* a get has at most one */
	size_t n;
	char bytes[];      /* key, value */
};
STAILQ_HEAD(kvs_ops, kvs_op);

/* The database and its queries belong to the job while one runs. */
struct kvs_disk {
	struct loop *loop;
	struct sqlite *db;
	struct sqlite_query *get, *put, *remove, *scan;
	struct kvs_ops queue, job;
	size_t gathered;   /* bytes in the queue */
	bool working, due; /* a job runs; one is to begin in the next turn */
	enum err failed;   /* of a job with writes that no flush has told yet */
	char *trouble, *job_trouble;
	bool wrote;        /* the job did, or tried to */
	unsigned refs;     /* its owner, a job, a turn to come */
	bool closed;
};

/* ---- operations ---- */

static struct kvs_op *
kvs_op_new(enum kvs_op_kind kind, struct str key, struct str value, void *arg)
{
	struct kvs_op *o = mem_zalloc(sizeof *o + key.n + value.n);

	o->kind = kind;
	o->arg = arg;
	if (key.n > 0)
		memcpy(o->bytes, key.p, key.n);
	if (value.n > 0)
		memcpy(o->bytes + key.n, value.p, value.n);
	o->key = (struct str){ o->bytes, key.n };
	o->value = (struct str){ o->bytes + key.n, value.n };
	return o;
}

static void
kvs_op_free(struct kvs_op *o)
{
	buf_free(&o->from);
	buf_free(&o->data);
	mem_free(o->rows);
	mem_free(o);
}

static void
kvs_ops_free(struct kvs_ops *all)
{
	struct kvs_op *o;

	while ((o = STAILQ_FIRST(all)) != NULL) {
		STAILQ_REMOVE_HEAD(all, next);
		kvs_op_free(o);
	}
}

static void
kvs_disk_drop(struct kvs_disk *s)
{
	if (--s->refs > 0)
		return;
	kvs_ops_free(&s->queue);
	kvs_ops_free(&s->job);
	sqlite_query_free(s->get);
	sqlite_query_free(s->put);
	sqlite_query_free(s->remove);
	sqlite_query_free(s->scan);
	sqlite_close(s->db);
	mem_free(s->trouble);
	mem_free(s->job_trouble);
	mem_free(s);
}

/* ---- in the pool ---- */

static void
kvs_row_add(struct kvs_op *o, struct str key, struct str value)
{
	if (o->rows == NULL)
		o->rows = mem_alloc((o->kind == KVS_OP_GET ? 1 : KVS_DISK_ROWS) * sizeof *o->rows);
	o->rows[o->n++] = (struct kvs_row){ o->data.len, key.n, o->data.len + key.n, value.n };
	buf_str(&o->data, key);
	buf_str(&o->data, value);
}

static enum err
kvs_do_get(struct kvs_disk *s, struct kvs_op *o)
{
	bool found;
	enum err e;

	sqlite_bind_blob(s->get, 1, o->key);
	e = sqlite_step(s->get, &found);
	if (e == ERR_OK && found)
		kvs_row_add(o, (struct str){ 0 }, sqlite_blob(s->get, 0));
	sqlite_reset(s->get);
	return e;
}

static enum err
kvs_do_put(struct kvs_disk *s, const struct kvs_op *o)
{
	sqlite_bind_blob(s->put, 1, o->key);
	sqlite_bind_blob(s->put, 2, o->value);
	return sqlite_run(s->put);
}

static enum err
kvs_do_remove(struct kvs_disk *s, const struct kvs_op *o)
{
	sqlite_bind_blob(s->remove, 1, o->key);
	return sqlite_run(s->remove);
}

/* The key behind which nothing is before `from`: with a zero byte more. */
static enum err
kvs_do_scan(struct kvs_disk *s, struct kvs_op *o)
{
	bool row = true;
	enum err e = ERR_OK;

	o->n = 0;
	o->more = false;
	buf_clear(&o->data);
	sqlite_bind_blob(s->scan, 1, o->from.len > 0 ? buf_view(&o->from) : o->key);
	while (e == ERR_OK && !o->more && (e = sqlite_step(s->scan, &row)) == ERR_OK && row) {
		struct str key = sqlite_blob(s->scan, 0);

		if (key.n < o->key.n || (o->key.n > 0 && memcmp(key.p, o->key.p, o->key.n) != 0))
			break;
		kvs_row_add(o, key, sqlite_blob(s->scan, 1));
		o->more = o->n == KVS_DISK_ROWS || o->data.len >= KVS_DISK_BYTES;
	}
	sqlite_reset(s->scan);
	return e;
}

static enum err
kvs_do(struct kvs_disk *s, struct kvs_op *o)
{
	switch (o->kind) {
	case KVS_OP_GET: return kvs_do_get(s, o);
	case KVS_OP_PUT: return kvs_do_put(s, o);
	case KVS_OP_REMOVE: return kvs_do_remove(s, o);
	case KVS_OP_SCAN: return kvs_do_scan(s, o);
	case KVS_OP_FLUSH: break;
	}
	return ERR_OK;
}

static bool
kvs_op_writes(const struct kvs_op *o)
{
	return o->kind == KVS_OP_PUT || o->kind == KVS_OP_REMOVE;
}

static void
kvs_job_trouble(struct kvs_disk *s, enum err e)
{
	if (e != ERR_OK && s->job_trouble == NULL)
		s->job_trouble = mem_strdup(sqlite_trouble(s->db));
}

/* Does the operations; one write that fails takes all others with it. */
static enum err
kvs_job_run(struct kvs_disk *s, bool writes)
{
	enum err e = writes ? sqlite_begin(s->db) : ERR_OK;
	bool begun = writes && e == ERR_OK;
	struct kvs_op *o;

	kvs_job_trouble(s, e);
	STAILQ_FOREACH(o, &s->job, next) {
		if (kvs_op_writes(o) && e != ERR_OK)
			continue;
		o->result = kvs_do(s, o);
		kvs_job_trouble(s, o->result);
		if (kvs_op_writes(o))
			e = o->result;
	}
	if (begun && e == ERR_OK)
		kvs_job_trouble(s, e = sqlite_commit(s->db));
	else if (begun)
		sqlite_rollback(s->db);
	return e;
}

static void
kvs_disk_work_cb(void *arg)
{
	struct kvs_disk *s = arg;
	struct kvs_op *o;
	bool told = false;
	enum err e;

	s->wrote = false;
	STAILQ_FOREACH(o, &s->job, next)
		s->wrote |= kvs_op_writes(o);
	e = kvs_job_run(s, s->wrote);
	if (s->failed == ERR_OK)
		s->failed = e;
	STAILQ_FOREACH(o, &s->job, next) {
		if (o->kind == KVS_OP_FLUSH)
			o->result = s->failed;
		told = o->kind == KVS_OP_FLUSH || (told && !kvs_op_writes(o));
	}
	if (told)
		s->failed = ERR_OK;
}

/* ---- on the loop ---- */

static void kvs_disk_start(struct kvs_disk *s);

/* The rest of a scan stands before everything that was asked since. */
static bool
kvs_scan_rows(struct kvs_disk *s, struct kvs_op *o)
{
	for (size_t i = 0; i < o->n && !s->closed; i++)
		o->scan(o->arg, ERR_OK, (struct str){ o->data.data + o->rows[i].key, o->rows[i].key_n },
		    (struct str){ o->data.data + o->rows[i].value, o->rows[i].value_n });
	if (s->closed || o->result != ERR_OK || !o->more)
		return false;
	buf_clear(&o->from);
	buf_add(&o->from, o->data.data + o->rows[o->n - 1].key, o->rows[o->n - 1].key_n);
	buf_byte(&o->from, '\0');
	return true;
}

/* A value that is damaged on the disk is lost like one that is not there. */
static void
kvs_get_answer(struct kvs_op *o)
{
	bool found = o->result == ERR_OK && o->n > 0;
	struct str value = { "", 0 };

	if (found && o->rows->value_n > 0)
		value = (struct str){ o->data.data + o->rows->value, o->rows->value_n };
	o->get(o->arg, o->result == ERR_DAMAGED ? ERR_OK : o->result, found, value);
}

static void
kvs_op_answer(struct kvs_op *o)
{
	if (o->kind == KVS_OP_GET)
		kvs_get_answer(o);
	else if (o->kind == KVS_OP_FLUSH)
		o->done(o->arg, o->result);
	else if (o->kind == KVS_OP_SCAN)
		o->scan(o->arg, o->result, (struct str){ 0 }, (struct str){ 0 });
}

/* Trouble with writing stays until writing works. */
static void
kvs_disk_tell(struct kvs_disk *s)
{
	if (s->job_trouble == NULL && !s->wrote)
		return;
	mem_free(s->trouble);
	s->trouble = s->job_trouble;
	s->job_trouble = NULL;
}

static void
kvs_disk_done_cb(void *arg)
{
	struct kvs_disk *s = arg;
	struct kvs_ops job = STAILQ_HEAD_INITIALIZER(job), again = STAILQ_HEAD_INITIALIZER(again);
	struct kvs_op *o;

	STAILQ_CONCAT(&job, &s->job);
	s->working = false;
	kvs_disk_tell(s);
	while ((o = STAILQ_FIRST(&job)) != NULL) {
		STAILQ_REMOVE_HEAD(&job, next);
		if (o->kind == KVS_OP_SCAN && kvs_scan_rows(s, o)) {
			STAILQ_INSERT_TAIL(&again, o, next);
			continue;
		}
		if (!s->closed)
			kvs_op_answer(o);
		kvs_op_free(o);
	}
	STAILQ_CONCAT(&again, &s->queue);
	STAILQ_CONCAT(&s->queue, &again);
	kvs_disk_start(s);
	kvs_disk_drop(s);
}

static void
kvs_disk_turn_cb(void *arg)
{
	struct kvs_disk *s = arg;

	s->due = false;
	if (!s->closed && !s->working) {
		STAILQ_CONCAT(&s->job, &s->queue);
		s->gathered = 0;
		s->working = true;
		s->refs++;
		loop_pool(s->loop, kvs_disk_work_cb, kvs_disk_done_cb, s);
	}
	kvs_disk_drop(s);
}

/* What the turn asks for goes into one job. Puts alone wait for more. */
static void
kvs_disk_start(struct kvs_disk *s)
{
	struct kvs_op *o;
	bool wanted = s->gathered >= KVS_DISK_GATHER;

	if (s->due || s->working || s->closed)
		return;
	STAILQ_FOREACH(o, &s->queue, next)
		wanted |= !kvs_op_writes(o);
	if (!wanted)
		return;
	s->due = true;
	s->refs++;
	loop_defer(s->loop, kvs_disk_turn_cb, s);
}

static struct kvs_op *
kvs_disk_ask(void *store, enum kvs_op_kind kind, struct str key, struct str value, void *arg)
{
	struct kvs_disk *s = store;
	struct kvs_op *o = kvs_op_new(kind, key, value, arg);

	STAILQ_INSERT_TAIL(&s->queue, o, next);
	s->gathered += sizeof *o + key.n + value.n;
	if (!kvs_op_writes(o) || s->gathered >= KVS_DISK_GATHER)
		kvs_disk_start(s);
	return o;
}

static void
kvs_disk_get(void *store, struct str key, kvs_get_cb *cb, void *arg)
{
	kvs_disk_ask(store, KVS_OP_GET, key, (struct str){ 0 }, arg)->get = cb;
}

static void
kvs_disk_put(void *store, struct str key, struct str value)
{
	kvs_disk_ask(store, KVS_OP_PUT, key, value, NULL);
}

static void
kvs_disk_remove(void *store, struct str key)
{
	kvs_disk_ask(store, KVS_OP_REMOVE, key, (struct str){ 0 }, NULL);
}

static void
kvs_disk_scan(void *store, struct str prefix, kvs_scan_cb *cb, void *arg)
{
	kvs_disk_ask(store, KVS_OP_SCAN, prefix, (struct str){ 0 }, arg)->scan = cb;
}

static void
kvs_disk_flush(void *store, kvs_done_cb *cb, void *arg)
{
	kvs_disk_ask(store, KVS_OP_FLUSH, (struct str){ 0 }, (struct str){ 0 }, arg)->done = cb;
}

static const char *
kvs_disk_trouble(const void *store)
{
	return ((const struct kvs_disk *)store)->trouble;
}

/* ---- open and close ---- */

/* A database of somebody else's is left alone. */
static bool
kvs_disk_ours(struct kvs_disk *s, const char *file, char **why)
{
	int64_t mark = 0, format = 0, tables = 0;

	if (sqlite_value(s->db, "PRAGMA application_id", &mark) != ERR_OK ||
	    sqlite_value(s->db, "PRAGMA user_version", &format) != ERR_OK ||
	    sqlite_value(s->db, "SELECT count(*) FROM sqlite_master", &tables) != ERR_OK)
		*why = mem_strdup(sqlite_trouble(s->db));
	else if (tables > 0 && mark != KVS_DISK_MARK)
		*why = mem_printf("%s is a database, but not one of states; set kvs.file", file);
	else if (tables > 0 && format != KVS_DISK_FORMAT)
		*why = mem_printf("%s has format %lld, this version knows %d; move it away, and all "
		    "states are written again", file, (long long)format, KVS_DISK_FORMAT);
	return *why == NULL;
}

static bool
kvs_disk_prepare(struct kvs_disk *s, bool read_only)
{
	static const char *const make[] = { "PRAGMA application_id = 1281779572",
		"PRAGMA user_version = 1",
		"CREATE TABLE IF NOT EXISTS states (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL)" };

	for (size_t i = 0; !read_only && i < sizeof make / sizeof *make; i++)
		if (sqlite_exec(s->db, make[i]) != ERR_OK)
			return false;
	s->get = sqlite_prepare(s->db, "SELECT value FROM states WHERE key = ?1");
	s->put = sqlite_prepare(s->db, "INSERT INTO states (key, value) VALUES (?1, ?2) "
	    "ON CONFLICT (key) DO UPDATE SET value = excluded.value");
	s->remove = sqlite_prepare(s->db, "DELETE FROM states WHERE key = ?1");
	s->scan = sqlite_prepare(s->db, "SELECT key, value FROM states WHERE key >= ?1 ORDER BY key");
	return s->get != NULL && s->put != NULL && s->remove != NULL && s->scan != NULL;
}

static void *
kvs_disk_open(const struct kvs_options *o, char **why)
{
	struct sqlite_options db = { .file = o->file, .read_only = o->read_only,
		.create = !o->read_only, .durable = true };
	struct kvs_disk *s;
	char *cause = NULL;

	MEM_NEW(s);
	s->loop = o->loop;
	s->refs = 1;
	STAILQ_INIT(&s->queue);
	STAILQ_INIT(&s->job);
	s->db = sqlite_open(&db, &cause);
	if (s->db != NULL && kvs_disk_ours(s, o->file, &cause) && kvs_disk_prepare(s, o->read_only))
		return s;
	if (cause == NULL)
		cause = mem_strdup(sqlite_trouble(s->db));
	*why = cause;
	kvs_disk_drop(s);
	return NULL;
}

static void
kvs_disk_close(void *store)
{
	struct kvs_disk *s = store;

	s->closed = true;
	kvs_disk_drop(s);
}

const struct kvs_backend kvs_disk = {
	.name = "disk",
	.caps = KVS_PERSISTENT | KVS_FILE | KVS_KEEPS,
	.open = kvs_disk_open,
	.get = kvs_disk_get,
	.put = kvs_disk_put,
	.remove = kvs_disk_remove,
	.scan = kvs_disk_scan,
	.flush = kvs_disk_flush,
	.trouble = kvs_disk_trouble,
	.close = kvs_disk_close,
};
