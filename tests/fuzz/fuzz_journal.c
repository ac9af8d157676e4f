/* SPDX-License-Identifier: MIT */
/* Fuzzes the reading and recovery of a journal: any bytes as one or two segments
 * are refused in words or read, each record at most once and in order; opening
 * agrees with reading, and then loses nothing and can be appended to.
 *
 * Input: a byte of switches, two bytes that say where the second segment
 * begins, the segments. Switch 1: there is a second segment. Switch 2: the
 * segments' headers are made right. Switch 4: all checksums and hashes are made
 * right, so that what is behind them is reached. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <fcntl.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "state/journal_priv.h"

#define ORGANISATION "school.example"
#define FUZZ_MAX ((size_t)1 << 16)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char fuzz_dir[64];

static volatile char fuzz_slack;

struct fuzz_seen {
	uint64_t n, last, damaged;
	uint64_t sum; /* of all that was in the records */
};

static void
fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

static int
fuzz_no_sync(int fd)
{
	(void)fd;
	return 0;
}

static void
fuzz_path(char out[128], uint32_t number)
{
	char name[JOURNAL_NAME];

	snprintf(out, 128, "%s/%s", fuzz_dir, journal_name(number, name));
}

static void
fuzz_clean(void)
{
	char path[128];

	for (uint32_t i = 1; i <= 8; i++) {
		fuzz_path(path, i);
		unlink(path);
	}
}

static void
fuzz_exit_cb(void)
{
	char path[128];

	fuzz_clean();
	snprintf(path, sizeof path, "%s/lock", fuzz_dir);
	unlink(path);
	rmdir(fuzz_dir);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *tmp = getenv("TMPDIR");

	(void)argc;
	(void)argv;
	snprintf(fuzz_dir, sizeof fuzz_dir, "%.30s/fuzz-journal-XXXXXX", tmp ? tmp : "/tmp");
	fuzz_require(mkdtemp(fuzz_dir) != NULL);
	fuzz_require(atexit(fuzz_exit_cb) == 0);
	journal_io.fsync = fuzz_no_sync;
	journal_io.fdatasync = fuzz_no_sync;
	log_set_level((enum log_level)-1);
	return 0;
}

/* ---- making the segments ---- */

static void
fuzz_put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* The fields stay the input's where any value makes sense. */
static void
fuzz_header(uint8_t *p, uint32_t number, const uint8_t before[SEGMENT_TRAILER])
{
	struct segment_header h = {
		.number = number, .continued = p[12] & 1, .organisation = ORGANISATION,
		.first_seq = 1 + p[24] + ((uint64_t)p[25] << 8),
		.before_end = p[32] + ((uint64_t)p[33] << 8) + ((uint64_t)p[34] << 16),
	};

	memcpy(h.before, before, sizeof h.before);
	segment_header_encode(&h, p);
}

/* Seals what looks like a block or a record, wherever it is. */
static void
fuzz_seal(uint8_t *p, size_t n, uint8_t chain[SEGMENT_TRAILER])
{
	struct segment_block b;

	for (size_t at = SEGMENT_HEADER; at + SEGMENT_RECORD <= n; at += SEGMENT_ALIGN) {
		size_t size = segment_record_claim(p + at);
		struct record r;

		if (segment_block_begins(p + at, SEGMENT_BLOCK))
			fuzz_put32(p + at + 20, crypt_crc32c(0, p + at, 20));
		if (size == 0 || size > n - at)
			continue;
		segment_record_view(p + at, &r);
		fuzz_put32(p + at + 4, crypt_crc32c(0, p + at + 8, 32 + r.body.n));
	}
	for (size_t at = SEGMENT_HEADER; at + SEGMENT_BLOCK <= n; at += b.length) {
		if (!segment_block_decode(p + at, &b) || b.length > n - at)
			return;
		segment_trailer(chain, p + at, b.length, p + at + b.length - SEGMENT_TRAILER);
		memcpy(chain, p + at + b.length - SEGMENT_TRAILER, SEGMENT_TRAILER);
	}
}

static void
fuzz_store(uint32_t number, const uint8_t *p, size_t n)
{
	char path[128];
	int fd;

	fuzz_path(path, number);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	fuzz_require(fd >= 0 && write(fd, p, n) == (ssize_t)n && close(fd) == 0);
}

static void
fuzz_make(const uint8_t *data, size_t size)
{
	static uint8_t text[FUZZ_MAX];
	uint8_t switches = data[0], chain[SEGMENT_TRAILER] = { 0 };
	size_t n = size - 3, split = (size_t)data[1] + ((size_t)data[2] << 8);

	memcpy(text, data + 3, n);
	if (!(switches & 1) || split > n)
		split = n;
	for (uint32_t i = 0; i < 1 + (switches & 1u); i++) {
		uint8_t *p = i == 0 ? text : text + split;
		size_t part = i == 0 ? split : n - split;

		if (switches & 2 && part >= SEGMENT_HEADER)
			fuzz_header(p, i + 1, chain);
		if (switches & 4)
			fuzz_seal(p, part, chain);
		fuzz_store(i + 1, p, part);
	}
}

/* ---- reading them ---- */

static void
fuzz_record_cb(void *arg, const struct record *r)
{
	struct fuzz_seen *s = arg;

	fuzz_require(r->seq > s->last);
	fuzz_require(r->type >= RECORD_SESSION && r->type <= RECORD_EVENT);
	s->last = r->seq;
	s->n++;
	s->sum = s->sum * 31 + r->seq + r->session + (uint64_t)r->time_us;
	for (size_t i = 0; i < r->body.n; i++)
		s->sum = s->sum * 31 + (uint8_t)r->body.p[i];
	for (size_t i = 0; i < SEGMENT_SLACK; i++)
		fuzz_slack = r->body.p[r->body.n + i]; /* readable */
}

static void
fuzz_damage_cb(void *arg, const struct journal_damage *d)
{
	struct fuzz_seen *s = arg;

	fuzz_require(d->file != NULL && d->what != NULL && d->first_lost <= d->last_lost);
	s->damaged += !d->torn_tail;
}

static bool
fuzz_read(struct fuzz_seen *s)
{
	struct journal_reader reader = { fuzz_record_cb, fuzz_damage_cb, s };
	struct journal_summary sum;
	char *why = NULL;
	enum err e;

	*s = (struct fuzz_seen){ 0 };
	e = journal_read(fuzz_dir, ORGANISATION, 0, &reader, &sum, &why);
	fuzz_require(e == ERR_OK || e == ERR_INVALID);
	fuzz_require((e == ERR_OK) == (why == NULL));
	fuzz_require(e != ERR_OK || (sum.records == s->n && sum.damaged == s->damaged));
	mem_free(why);
	return e == ERR_OK;
}

static void
fuzz_stop_cb(void *arg)
{
	loop_stop(arg);
}

static void
fuzz_wake_cb(void *arg)
{
	(void)arg;
}

static void
fuzz_open(bool readable, const struct fuzz_seen *before)
{
	struct journal_options o = { fuzz_dir, ORGANISATION, 4096, 1 << 20 };
	struct loop *l = loop_new();
	struct fuzz_seen s = { 0 };
	struct journal_reader replay = { fuzz_record_cb, fuzz_damage_cb, &s };
	struct journal_summary sum;
	struct str body = STR_LIT("{\"event\":\"x\"}");
	char *why = NULL;
	struct journal *j = journal_open(l, &o, 0, &replay, &sum, &why);

	fuzz_require((j != NULL) == readable);
	mem_free(why);
	if (j != NULL) {
		fuzz_require(s.n == before->n && s.sum == before->sum);
		fuzz_require(journal_append(j, RECORD_SESSION, 0, 1, &body, 1) > s.last);
		journal_append(j, RECORD_EVENT, 1, 1, &body, 1);
		journal_drain(j, fuzz_stop_cb, l);
		loop_defer(l, fuzz_wake_cb, NULL);
		loop_run(l);
		fuzz_require(!journal_stalled(j));
		journal_close(j);
	}
	loop_free(l);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_seen first, second;
	bool readable;

	if (size < 3 || size > FUZZ_MAX)
		return 0;
	fuzz_clean();
	fuzz_make(data, size);
	readable = fuzz_read(&first);
	fuzz_require(fuzz_read(&second) == readable);
	fuzz_require(memcmp(&first, &second, sizeof first) == 0);
	fuzz_open(readable, &first);
	if (readable) {
		fuzz_require(fuzz_read(&second));
		fuzz_require(second.n == first.n + 2);
		fuzz_require(second.damaged <= first.damaged + 1);
	}
	return 0;
}
