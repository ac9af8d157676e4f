/* SPDX-License-Identifier: MIT */
/* A store that misbehaves before each real one: the contract, as far as it can hold there;
 * and writing behind. Whatever failed meanwhile, once the store behaves again it holds the
 * newest of everything. */
#include "redis_server.h"

#include "base/mem.h"
#include "state/redis_link.h"
#include "tests/contract/kvs_contract.h"
#include "tests/contract/kvs_fault.h"

#define KEYS 40
#define ROUNDS 300
#define PATIENCE 20000 /* flushes until it has to have worked */

/* A writer who does what the interface asks: a flush that failed is written again. */
struct writer {
	struct loop *loop;
	struct kvs *kvs;
	unsigned value[KEYS];   /* what each key should be; 0: not there */
	bool dirty[KEYS], flying[KEYS];
	unsigned flushing, flushed, failed; /* flushing: 0 or 1 */
};

static struct redis_server server;
static struct redis_options redis;
static char file[96];

static void
flushed_cb(void *arg, enum err e)
{
	struct writer *w = arg;

	w->flushing = 0;
	w->flushed++;
	w->failed += e != ERR_OK;
	for (size_t i = 0; i < KEYS; i++) {
		w->dirty[i] |= e != ERR_OK && w->flying[i];
		w->flying[i] = false;
	}
}

static void
write_key(struct writer *w, size_t i)
{
	char key[16], value[16];

	snprintf(key, sizeof key, "k%02zu", i);
	snprintf(value, sizeof value, "%u", w->value[i]);
	if (w->value[i] != 0)
		kvs_put(w->kvs, str_of(key), str_of(value));
	else
		kvs_remove(w->kvs, str_of(key));
	w->dirty[i] = false;
	w->flying[i] = true;
}

static void
flush(struct writer *w)
{
	if (w->flushing)
		return;
	for (size_t i = 0; i < KEYS; i++)
		if (w->dirty[i])
			write_key(w, i);
	w->flushing = 1;
	kvs_flush(w->kvs, flushed_cb, w);
}

static void
change(struct writer *w)
{
	size_t i = kvs_fault_chance(KEYS);

	w->value[i] = kvs_fault_chance(5) == 0 ? 0 : w->value[i] + 1 + kvs_fault_chance(9);
	w->dirty[i] = true;
}

static void
stop_cb(void *arg)
{
	loop_stop(arg);
}

static void
turn(struct writer *w)
{
	struct loop_timer *t = loop_timer_new(w->loop, stop_cb, w->loop);

	loop_timer_once(t, 1);
	loop_run(w->loop);
	loop_timer_free(t);
}

static void
settle(struct writer *w)
{
	unsigned fine = 0;

	kvs_contract_until(w->loop, &w->flushed, w->flushed + w->flushing);
	for (int i = 0; i < PATIENCE && fine == 0; i++) {
		unsigned failed = w->failed;

		flush(w);
		kvs_contract_until(w->loop, &w->flushed, w->flushed + 1);
		fine = w->failed == failed;
		if (!fine)
			turn(w);
	}
	assert_int_equal(fine, 1);
}

/* ---- the run ---- */

static void
assert_holds(const struct writer *w)
{
	struct buf want = BUF_INIT(0);
	char *got = kvs_contract_scan(w->kvs, w->loop, "k");

	for (size_t i = 0; i < KEYS; i++)
		if (w->value[i] != 0)
			buf_printf(&want, "k%02zu=%u;", i, w->value[i]);
	buf_byte(&want, '\0');
	assert_string_equal(got, want.data);
	mem_free(got);
	buf_free(&want);
}

static void
run(const char *backend, unsigned seed)
{
	struct kvs_options o = { .loop = loop_new(), .file = file, .redis = &redis };
	struct writer w = { .loop = o.loop };
	char *why = NULL;

	snprintf(file, sizeof file, "%s/%s", server.dir, backend);
	kvs_fault_now = (struct kvs_fault){ .backend = backend, .seed = seed };
	w.kvs = kvs_open_as(&kvs_fault_backend, &o, &why);
	assert_non_null(w.kvs);
	settle(&w);
	kvs_fault_now.late_ms = 4;
	kvs_fault_now.cut = 40;
	kvs_fault_now.fail = 30;
	for (unsigned i = 0; i < ROUNDS; i++) {
		change(&w);
		if (kvs_fault_chance(4) == 0)
			flush(&w);
		if (kvs_fault_chance(3) == 0)
			turn(&w);
	}
	assert_true(w.failed > 0);
	kvs_fault_now.cut = kvs_fault_now.fail = kvs_fault_now.late_ms = 0;
	settle(&w);
	assert_holds(&w);
	for (size_t i = 0; i < KEYS; i++) {
		w.value[i] = 0;
		w.dirty[i] = true;
	}
	settle(&w);
	assert_holds(&w);
	kvs_close(w.kvs);
	loop_run(w.loop);
	loop_free(w.loop);
}

static void
test_disk(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 5; seed++)
		run("disk", seed);
}

static void
test_memory(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 5; seed++)
		run("memory", seed);
}

static void
test_redis(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 5; seed++)
		run("redis", seed);
}

/* Redis itself goes away and comes back with nothing, in the middle of it. */
static void
test_redis_killed(void **state)
{
	struct kvs_options o = { .loop = loop_new(), .redis = &redis };
	struct writer w = { .loop = o.loop };
	char *why = NULL;

	(void)state;
	kvs_fault_now = (struct kvs_fault){ .backend = "redis", .seed = 7, .cut = 20 };
	w.kvs = kvs_open_as(&kvs_fault_backend, &o, &why);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned k = 0; k < 20; k++) {
			change(&w);
			flush(&w);
			turn(&w);
		}
		redis_server_stop(&server, SIGKILL);
		change(&w);
		flush(&w);
		turn(&w);
		redis_server_start(&server, NULL);
		for (size_t k = 0; k < KEYS; k++) /* what the owner does when told of a loss */
			w.dirty[k] = true;
	}
	kvs_fault_now.cut = 0;
	settle(&w);
	assert_holds(&w);
	kvs_close(w.kvs);
	loop_run(w.loop);
	loop_free(w.loop);
}

/* ---- the contract ---- */

static void
place(struct kvs_options *o)
{
	static unsigned n;

	snprintf(file, sizeof file, "%s/contract-%u", server.dir, n++);
	redis_server_do(&server, "FLUSHALL");
	o->file = file;
	o->redis = &redis;
	o->ttl = 3600;
}

static void
drop(struct kvs_options *o)
{
	o->file = NULL; /* goes with the folder */
}

static int
contract_with_faults(const char *backend)
{
	struct kvs_contract c = { .backend = backend, .place = place, .drop = drop,
		.persistent = true, .as = &kvs_fault_backend };
	int failed = 0;

	for (unsigned seed = 1; seed <= 3; seed++) {
		kvs_fault_now = (struct kvs_fault){ .backend = backend, .seed = seed, .late_ms = 4,
			.cut = 40, .fail = 30 };
		failed += kvs_contract_run_faults(&c);
	}
	return failed;
}

int
main(void)
{
	static const char *const backends[] = { "memory", "disk", "redis", "redis_ephemeral" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_redis),
		cmocka_unit_test(test_redis_killed),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	redis_server_start(&server, NULL);
	redis = (struct redis_options){ .address = server.address, .timeout_s = 20 };
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
		failed += contract_with_faults(backends[i]);
	redis_server_drop(&server);
	return failed;
}
