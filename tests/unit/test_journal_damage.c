/* SPDX-License-Identifier: MIT */
/* The journal that is damaged (bad-inputs C113 to C119, C123): what is wrong is
 * told with file and place, everything else is still there, and what is no
 * journal of ours is refused and left as it is. */
#include "tests/unit/journal_help.h"

#include <errno.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/metric.h"

#define FILE_MAX (64 << 10)

struct file {
	uint8_t p[FILE_MAX];
	size_t n;
	uint64_t owner[FILE_MAX]; /* record of each byte; 0: none's alone */
	uint64_t start[FILE_MAX]; /* where that record begins */
	bool boundary[FILE_MAX + 1]; /* a block ends here */
};

static struct rig g; /* large: not on the stack */
static struct seen seen;
static struct journal_summary sum;
static struct file files[4]; /* [1] is segment 1 ... */
static uint32_t n_files;
static uint64_t n_records;

static void
file_map(struct file *f)
{
	struct segment_block b;
	struct record r;
	size_t at = SEGMENT_HEADER, record;

	memset(f->owner, 0, sizeof f->owner);
	memset(f->boundary, 0, sizeof f->boundary);
	f->boundary[at] = true;
	while (at < f->n) {
		assert_true(segment_block_decode(f->p + at, &b));
		record = at + SEGMENT_BLOCK;
		for (uint32_t i = 0; i < b.count; i++) {
			size_t size = segment_record_view(f->p + record, &r);

			for (size_t k = 0; k < SEGMENT_RECORD + r.body.n; k++) {
				f->owner[record + k] = r.seq;
				f->start[record + k] = record;
			}
			record += size;
		}
		at += b.length;
		assert_int_equal(record + SEGMENT_TRAILER, at);
		f->boundary[at] = true;
	}
}

/* A journal of blocks with `per` records each. */
static void
make(int blocks, int per, uint64_t segment_size)
{
	g.segment_size = segment_size;
	rig_must_open(&g, &seen);
	for (int i = 0; i < blocks; i++)
		rig_append_block(&g, per);
	rig_close(&g);
	n_records = (uint64_t)(blocks * per);
	for (n_files = 0; access(rig_path(&g, n_files + 1), F_OK) == 0; n_files++) {
		struct file *f = &files[n_files + 1];

		assert_true(n_files < 3);
		f->n = file_load(rig_path(&g, n_files + 1), f->p, sizeof f->p);
		file_map(f);
	}
}

/* The folder as `make` left it. */
static void
restore(void)
{
	for (uint32_t i = 1; i < 10; i++)
		unlink(rig_path(&g, i));
	for (uint32_t i = 1; i <= n_files; i++)
		file_store(rig_path(&g, i), files[i].p, files[i].n);
}

static bool
untouched(uint32_t segment, const uint8_t *p, size_t n)
{
	static uint8_t now[FILE_MAX];

	return file_load(rig_path(&g, segment), now, sizeof now) == n && memcmp(now, p, n) == 0;
}

static int
setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	rig_new(&g);
	io_without_sync();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_free(&g);
	io_real();
	return 0;
}

static void
patch32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* ---- C113: cut at every byte ---- */

static uint64_t
whole_records_before(const struct file *f, size_t cut)
{
	uint64_t n = 0;

	for (size_t at = 0; at < cut; at++) {
		if (f->owner[at] > n && (at + 1 == f->n || f->owner[at + 1] != f->owner[at])) {
			struct record r;
			size_t size = segment_record_view(f->p + f->start[at], &r);

			if (f->start[at] + size <= cut)
				n = f->owner[at];
		}
	}
	return n;
}

static void
cut_last_segment(void **state)
{
	struct file *f = &files[3];

	(void)state;
	make(5, 3, 1400);
	assert_int_equal(n_files, 3);
	for (size_t cut = 0; cut < f->n; cut++) {
		uint64_t n = cut < SEGMENT_HEADER ? 0 : whole_records_before(f, cut);

		if (n == 0)
			n = whole_records_before(&files[2], files[2].n);
		restore();
		file_store(rig_path(&g, 3), f->p, cut);
		read_after(g.dir, 0, &seen, &sum);
		assert_int_equal(seen.n, n);
		assert_int_equal(seen.last, n);
		assert_int_equal(seen.damaged, 0);
		assert_int_equal(seen.torn, cut < SEGMENT_HEADER || !f->boundary[cut]);
		assert_true(untouched(3, f->p, cut));
		if (seen.torn)
			assert_string_equal(seen.file[0], "00000003.journal");
		rig_must_open(&g, &seen);
		assert_int_equal(seen.n, n);
		rig_append_block(&g, 2);
		rig_close(&g);
		assert_whole(g.dir, n + 2);
	}
}

/* Nothing cuts an old segment by itself: that is damage. */
static void
cut_old_segment(void **state)
{
	struct file *f = &files[1];

	(void)state;
	make(4, 3, 1400);
	for (size_t cut = SEGMENT_HEADER; cut < f->n; cut++) {
		uint64_t n = whole_records_before(f, cut);
		uint64_t all = whole_records_before(f, f->n);

		file_store(rig_path(&g, 1), f->p, cut);
		read_after(g.dir, 0, &seen, &sum);
		assert_true(seen.damaged > 0);
		assert_int_equal(seen.torn, 0);
		assert_string_equal(seen.file[0], "00000001.journal");
		assert_true(seen.damage[0].offset <= cut);
		assert_int_equal(seen.n, n_records - (all - n));
		if (n < all) {
			assert_int_equal(seen.damage[0].first_lost, n + 1);
			assert_int_equal(seen.damage[0].last_lost, all);
		}
	}
}

/* A crash while the torn block was being rescued leaves the old segment and the
 * new one: each record counts once. */
static void
cut_while_recovering(void **state)
{
	static struct file torn;
	uint64_t n;

	(void)state;
	make(3, 3, 1 << 20);
	torn = files[1];
	torn.n -= SEGMENT_TRAILER + 8;
	file_store(rig_path(&g, 1), torn.p, torn.n);
	rig_must_open(&g, &seen);
	n = seen.n;
	assert_true(n > 6 && n < 10);
	rig_append_block(&g, 2);
	rig_close(&g);
	file_store(rig_path(&g, 1), torn.p, torn.n); /* the cut never came */
	assert_whole(g.dir, n + 2);
	rig_must_open(&g, &seen);
	assert_int_equal(seen.n, n + 2);
	rig_append_block(&g, 2);
	rig_close(&g);
	assert_whole(g.dir, n + 4);
}

/* ---- C114: every bit turned over ---- */

static void
check_flip(uint32_t segment, size_t at)
{
	const struct file *f = &files[segment];
	uint64_t owner = f->owner[at];

	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.damaged, 1);
	assert_int_equal(seen.torn, 0);
	assert_int_equal(strtol(seen.file[0], NULL, 10), segment);
	assert_true(seen.damage[0].offset <= at);
	assert_int_equal(seen.n, n_records - (owner != 0));
	if (owner != 0) {
		assert_int_equal(seen.times[owner], 0);
		assert_int_equal(seen.damage[0].first_lost, owner);
		assert_int_equal(seen.damage[0].last_lost, owner);
		assert_int_equal(seen.damage[0].offset, f->start[at]);
	} else
		assert_int_equal(seen.damage[0].first_lost, 0);
}

static void
every_bit(void **state)
{
	(void)state;
	make(4, 2, 900);
	assert_int_equal(n_files, 3);
	for (uint32_t segment = 1; segment <= n_files; segment++) {
		struct file *f = &files[segment];
		int fd = open(rig_path(&g, segment), O_WRONLY);

		for (size_t bit = 0; bit < f->n * 8; bit++) {
			uint8_t c = f->p[bit / 8] ^ (uint8_t)(1 << bit % 8);

			assert_int_equal(pwrite(fd, &c, 1, (off_t)(bit / 8)), 1);
			check_flip(segment, bit / 8);
			assert_int_equal(pwrite(fd, f->p + bit / 8, 1, (off_t)(bit / 8)), 1);
		}
		close(fd);
	}
}

/* The daemon serves on, leaves the damaged file alone, and loses nothing more. */
static void
open_with_a_bit_wrong(void **state)
{
	static uint8_t bent[FILE_MAX];

	(void)state;
	log_set_level((enum log_level)-1);
	make(4, 2, 900);
	for (uint32_t segment = 1; segment <= n_files; segment++) {
		struct file *f = &files[segment];

		for (size_t at = 0; at < f->n; at += 5) {
			uint64_t left = n_records - (f->owner[at] != 0);

			restore();
			memcpy(bent, f->p, f->n);
			bent[at] ^= (uint8_t)(1 << at % 8);
			file_store(rig_path(&g, segment), bent, f->n);
			metric_set(METRIC_JOURNAL_DAMAGE, 0);
			rig_must_open(&g, &seen);
			assert_int_equal(seen.n, left);
			assert_int_equal(metric_value[METRIC_JOURNAL_DAMAGE], 1);
			assert_int_equal(g.sum.damaged, 1);
			rig_append_block(&g, 1);
			rig_close(&g);
			assert_true(untouched(segment, bent, f->n));
			read_after(g.dir, 0, &seen, &sum);
			assert_int_equal(seen.damaged, 1);
			assert_int_equal(seen.n, left + 1);
			assert_int_equal(seen.last, n_records + 1);
		}
	}
}

/* ---- C115: blocks of the disk zeroed, repeated, swapped ---- */

static void
disk_blocks(void **state)
{
	static uint8_t bent[FILE_MAX];
	static const size_t sizes[] = { 512, 4096 };

	(void)state;
	make(15, 4, 1 << 20);
	for (size_t k = 0; k < 2; k++) {
		size_t size = sizes[k], n = files[1].n / size;

		for (size_t a = k == 0; a < n; a++) {
			for (size_t b = k == 0; b <= n; b++) {
				if (b == a)
					continue;
				memcpy(bent, files[1].p, files[1].n);
				if (b == n)
					memset(bent + a * size, 0, size);
				else
					memcpy(bent + a * size, files[1].p + b * size, size);
				if (b < a) /* both ways: swapped */
					memcpy(bent + b * size, files[1].p + a * size, size);
				if (a * size < SEGMENT_HEADER || b * size < SEGMENT_HEADER)
					continue; /* refused; see below */
				file_store(rig_path(&g, 1), bent, files[1].n);
				read_after(g.dir, 0, &seen, &sum);
				assert_true(seen.damaged > 0);
				assert_true(seen.n < n_records);
			}
		}
	}
}

/* A hole of zeros costs what it covers, no more. */
static void
zeroed_costs_what_it_covers(void **state)
{
	static uint8_t bent[FILE_MAX];

	(void)state;
	make(15, 4, 1 << 20);
	for (size_t at = SEGMENT_HEADER; at + 512 < files[1].n; at += 64) {
		uint64_t covered = 0, last = 0;

		memcpy(bent, files[1].p, files[1].n);
		memset(bent + at, 0, 512);
		for (size_t i = at; i < at + 512; i++) {
			covered += files[1].owner[i] > last;
			last = files[1].owner[i] > last ? files[1].owner[i] : last;
		}
		file_store(rig_path(&g, 1), bent, files[1].n);
		read_after(g.dir, 0, &seen, &sum);
		assert_true(seen.damaged > 0);
		assert_int_equal(seen.n, n_records - covered);
	}
}

/* ---- blocks taken out, put in, put elsewhere ---- */

static size_t
block_end(const struct file *f, int block)
{
	size_t at = SEGMENT_HEADER;

	for (; block > 0; block--) {
		for (at++; !f->boundary[at]; at++)
			;
	}
	return at;
}

static void
block_taken_out(void **state)
{
	static uint8_t bent[FILE_MAX];
	struct file *f = &files[1];
	size_t from, to;

	(void)state;
	make(5, 3, 1 << 20);
	from = block_end(f, 2);
	to = block_end(f, 3);
	memcpy(bent, f->p, from);
	memcpy(bent + from, f->p + to, f->n - to);
	file_store(rig_path(&g, 1), bent, f->n - (to - from));
	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.n, 12);
	assert_int_equal(seen.damaged, 1);
	assert_int_equal(seen.damage[0].offset, from);
	assert_int_equal(seen.damage[0].first_lost, 7);
	assert_int_equal(seen.damage[0].last_lost, 9);
}

static void
block_put_in_twice(void **state)
{
	static uint8_t bent[FILE_MAX];
	struct file *f = &files[1];
	size_t from, to;

	(void)state;
	make(5, 3, 1 << 20);
	from = block_end(f, 2);
	to = block_end(f, 3);
	memcpy(bent, f->p, to);
	memcpy(bent + to, f->p + from, f->n - from);
	file_store(rig_path(&g, 1), bent, f->n + (to - from));
	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.n, 15);
	assert_true(seen.damaged > 0);
	assert_int_equal(seen.damage[0].offset, to);
}

/* A whole and right block of another journal of the same school. */
static void
block_of_another_journal(void **state)
{
	static uint8_t bent[FILE_MAX];
	static struct rig other;
	size_t from, to, n;

	(void)state;
	make(5, 3, 1 << 20);
	rig_new(&other);
	rig_must_open(&other, &seen);
	rig_append_block(&other, 6);
	rig_append_block(&other, 3);
	rig_close(&other);
	n = file_load(rig_path(&other, 1), bent, sizeof bent);
	rig_free(&other);
	from = block_end(&files[1], 2);
	to = block_end(&files[1], 3);
	assert_int_equal(n, to - SEGMENT_BLOCK - SEGMENT_TRAILER);
	memmove(bent + from, bent + n - (to - from), to - from);
	memcpy(bent, files[1].p, from);
	memcpy(bent + to, files[1].p + to, files[1].n - to);
	file_store(rig_path(&g, 1), bent, files[1].n);
	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.damaged, 1);
	assert_int_equal(seen.damage[0].offset, from);
}

static void
bytes_behind_the_end(void **state)
{
	static uint8_t bent[FILE_MAX];

	(void)state;
	make(4, 3, 1400);
	for (uint32_t segment = 1; segment <= n_files; segment++) {
		struct file *f = &files[segment];

		restore();
		memcpy(bent, f->p, f->n);
		memset(bent + f->n, 'x', 1000);
		file_store(rig_path(&g, segment), bent, f->n + 1000);
		rig_must_open(&g, &seen);
		assert_int_equal(seen.n, 12);
		assert_int_equal(seen.damaged, 1);
		assert_int_equal(seen.damage[0].offset, f->n);
		assert_int_equal(seen.damage[0].bytes, 1000);
		rig_append_block(&g, 1);
		rig_close(&g);
		assert_true(untouched(segment, bent, f->n + 1000));
		read_after(g.dir, 0, &seen, &sum);
		assert_int_equal(seen.n, 13);
		assert_int_equal(seen.damaged, 1);
	}
}

/* A few bytes behind the end are a torn block's only if they look like one's. */
static void
few_bytes_behind_the_end(void **state)
{
	static uint8_t bent[FILE_MAX];
	struct file *f = &files[1];

	(void)state;
	make(2, 3, 1 << 20);
	for (size_t n = 1; n < SEGMENT_BLOCK; n++) {
		memcpy(bent, f->p, f->n);
		memset(bent + f->n, 'x', n);
		file_store(rig_path(&g, 1), bent, f->n + n);
		read_after(g.dir, 0, &seen, &sum);
		assert_int_equal(seen.damaged, 1);
		assert_int_equal(seen.torn, 0);
		memcpy(bent + f->n, f->p + block_end(f, 1), n);
		file_store(rig_path(&g, 1), bent, f->n + n);
		read_after(g.dir, 0, &seen, &sum);
		assert_int_equal(seen.damaged, 0);
		assert_int_equal(seen.torn, 1);
	}
}

/* The beginning of a block, and then the same block: as one would leave it who
 * wrote again where a write had failed. */
static void
block_begun_twice(void **state)
{
	static uint8_t bent[FILE_MAX];
	struct file *f = &files[1];
	size_t from, n;

	(void)state;
	make(3, 3, 1 << 20);
	from = block_end(f, 1);
	for (n = SEGMENT_BLOCK; f->owner[from + n] < 5; n += 8)
		;
	memcpy(bent, f->p, from + n);
	memcpy(bent + from + n, f->p + from, f->n - from);
	file_store(rig_path(&g, 1), bent, f->n + n);
	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.n, 9);
	assert_int_equal(seen.damaged, 1);
	assert_int_equal(seen.damage[0].first_lost, 0);
}

/* Behind a block whose header is gone the chain is taken up again, and what is
 * wrong there is told, too. */
static void
block_header_gone(void **state)
{
	static uint8_t bent[FILE_MAX];
	struct file *f = &files[1];
	size_t second, third;

	(void)state;
	make(4, 3, 1 << 20);
	second = block_end(f, 1);
	third = block_end(f, 2);
	memcpy(bent, f->p, f->n);
	memset(bent + second, 'x', SEGMENT_BLOCK);
	file_store(rig_path(&g, 1), bent, f->n);
	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.n, 12);
	assert_int_equal(seen.damaged, 2); /* its header, and its trailer that means nothing */
	assert_int_equal(seen.damage[0].offset, second);
	assert_int_equal(seen.damage[1].offset, third - SEGMENT_TRAILER);
	bent[block_end(f, 3) - SEGMENT_TRAILER - 1] ^= 1; /* padding of the third */
	assert_int_equal(f->owner[block_end(f, 3) - SEGMENT_TRAILER - 1], 0);
	file_store(rig_path(&g, 1), bent, f->n);
	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.n, 12);
	assert_int_equal(seen.damaged, 3);
	assert_int_equal(seen.damage[2].offset, third);
}

static void
block_header_cut_out(void **state)
{
	static uint8_t bent[FILE_MAX];
	struct file *f = &files[1];
	size_t second;

	(void)state;
	make(4, 3, 1 << 20);
	second = block_end(f, 1);
	memcpy(bent, f->p, second);
	memcpy(bent + second, f->p + second + SEGMENT_BLOCK, f->n - second - SEGMENT_BLOCK);
	file_store(rig_path(&g, 1), bent, f->n - SEGMENT_BLOCK);
	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.n, 12);
	assert_int_equal(seen.damage[0].offset, second);
	assert_int_equal(seen.damage[0].bytes, 0);
}

/* A right record in a block to which its number does not belong would make all
 * that follow look old. */
static void
record_out_of_place(void **state)
{
	static uint8_t bent[FILE_MAX];
	struct file *f = &files[1];
	size_t at;

	(void)state;
	make(3, 3, 1 << 20);
	for (at = 0; f->owner[at] != 5; at++)
		;
	memcpy(bent, f->p, f->n);
	bent[at + 17] = 1; /* 261 */
	for (size_t n = SEGMENT_RECORD; f->owner[at + n] == 5 || n == SEGMENT_RECORD; n++)
		patch32(bent + at + 4, crypt_crc32c(0, bent + at + 8, n + 1 - 8));
	file_store(rig_path(&g, 1), bent, f->n);
	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.n, 8);
	assert_int_equal(seen.damaged, 1);
	assert_int_equal(seen.damage[0].first_lost, 5);
	assert_int_equal(seen.damage[0].last_lost, 5);
}

/* A torn block in which a record is damaged: the others are rescued. */
static void
torn_and_damaged(void **state)
{
	static uint8_t bent[FILE_MAX];
	struct file *f = &files[1];
	size_t at;

	(void)state;
	make(3, 4, 1 << 20);
	for (at = 0; f->owner[at] != 10; at++)
		;
	memcpy(bent, f->p, f->n);
	bent[at + 30] ^= 1;
	file_store(rig_path(&g, 1), bent, f->n - SEGMENT_TRAILER);
	for (int i = 0; i < 2; i++) {
		rig_must_open(&g, &seen);
		assert_int_equal(seen.n, 11u + (unsigned)i);
		assert_int_equal(seen.damaged, 1);
		assert_int_equal(seen.damage[0].first_lost, 10);
		assert_int_equal(seen.damage[0].last_lost, 10);
		assert_int_equal(seen.torn, i == 0);
		rig_append_block(&g, 1);
		rig_close(&g);
	}
}

/* ---- C116: lengths ---- */

static void
lengths(void **state)
{
	static const uint32_t wrong[] = { 0, 1, 8, UINT32_MAX, UINT32_MAX - 7, 70 << 20, 2000 };
	static uint8_t bent[FILE_MAX];
	struct file *f = &files[1];

	(void)state;
	make(3, 3, 1 << 20);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		size_t block = block_end(f, 1), record = block + SEGMENT_BLOCK;

		memcpy(bent, f->p, f->n);
		patch32(bent + record + 8, wrong[i]); /* of a record */
		file_store(rig_path(&g, 1), bent, f->n);
		read_after(g.dir, 0, &seen, &sum);
		assert_int_equal(seen.damaged, 1);
		assert_int_equal(seen.n, 8);
		assert_int_equal(seen.times[4], 0);

		memcpy(bent, f->p, f->n);
		patch32(bent + block + 4, wrong[i]); /* of a block */
		file_store(rig_path(&g, 1), bent, f->n);
		read_after(g.dir, 0, &seen, &sum);
		assert_true(seen.damaged > 0);
		assert_int_equal(seen.n, 9);

		patch32(bent + block + 20, crypt_crc32c(0, bent + block, 20)); /* and sealed */
		file_store(rig_path(&g, 1), bent, f->n);
		read_after(g.dir, 0, &seen, &sum);
		assert_true(seen.damaged > 0);
		assert_int_equal(seen.n, 9);
	}
}

/* ---- C118, C119, C123: refused, and not touched ---- */

static void
assert_refused(const char *word)
{
	char *why = refusal(g.dir);

	if (strstr(why, word) == NULL)
		print_message("\"%s\" does not say \"%s\"\n", why, word);
	assert_non_null(strstr(why, word));
	mem_free(why);
	why = rig_open(&g, 0, &seen);
	assert_null(g.j);
	assert_non_null(strstr(why, word));
	mem_free(why);
	assert_int_equal(seen.n, 0);
}

static void
refused_names(void **state)
{
	char path[128];

	(void)state;
	make(6, 3, 1400);
	assert_int_equal(n_files, 3);
	unlink(rig_path(&g, 2));
	assert_refused("00000002.journal: is missing");
	restore();
	unlink(rig_path(&g, 1));
	assert_refused("00000001.journal: is missing");
	restore();
	assert_int_equal(rename(rig_path(&g, 3), rig_path(&g, 4)), 0);
	assert_refused("00000003.journal: is missing");
	restore();
	file_store(rig_path(&g, 4), files[3].p, files[3].n);
	assert_refused("calls itself segment 3");
	restore();
	file_store(rig_path(&g, 2), files[3].p, files[3].n);
	file_store(rig_path(&g, 3), files[2].p, files[2].n);
	assert_refused("00000002.journal: calls itself segment 3");
	restore();
	snprintf(path, sizeof path, "%s/00000002 (copy).journal", g.dir);
	file_store(path, files[2].p, files[2].n);
	assert_refused("no segment has such a name");
	unlink(path);
	snprintf(path, sizeof path, "%s/00000000.journal", g.dir);
	file_store(path, files[2].p, files[2].n);
	assert_refused("no segment has such a name");
	unlink(path);
	snprintf(path, sizeof path, "%s/00000002.journal.bak", g.dir); /* none of ours */
	file_store(path, files[2].p, files[2].n);
	assert_whole(g.dir, n_records);
	unlink(path);
}

static void
refused_files(void **state)
{
	char path[128];

	(void)state;
	make(4, 3, 1400);
	snprintf(path, sizeof path, "%s/elsewhere", g.dir);
	assert_int_equal(rename(rig_path(&g, 2), path), 0);
	assert_int_equal(symlink(path, rig_path(&g, 2)), 0);
	assert_refused("symbolic link");
	assert_int_equal(unlink(rig_path(&g, 2)), 0);
	assert_int_equal(link(path, rig_path(&g, 2)), 0);
	assert_refused("hard link");
	assert_int_equal(unlink(path), 0);
	assert_whole(g.dir, n_records);
	unlink(rig_path(&g, 2));
	assert_int_equal(mkfifo(rig_path(&g, 2), 0600), 0);
	assert_refused("not a regular file");
	unlink(rig_path(&g, 2));
	assert_int_equal(mkdir(rig_path(&g, 2), 0700), 0);
	assert_refused("not a regular file");
	assert_int_equal(rmdir(rig_path(&g, 2)), 0);
}

static void
refused_folder(void **state)
{
	static const mode_t modes[] = { 0777, 0770, 0720, 0702, 01777 };
	char *why;

	(void)state;
	make(1, 3, 1400);
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		assert_int_equal(chmod(g.dir, modes[i]), 0);
		why = rig_open(&g, 0, &seen);
		assert_null(g.j);
		assert_non_null(strstr(why, "chmod 0700"));
		mem_free(why);
	}
	assert_int_equal(chmod(g.dir, 0755), 0);
	rig_must_open(&g, &seen);
}

static void
seal(uint8_t *p)
{
	patch32(p + SEGMENT_HEADER - 4, crypt_crc32c(0, p, SEGMENT_HEADER - 4));
}

static void
refused_contents(void **state)
{
	static uint8_t bent[FILE_MAX];

	(void)state;
	make(4, 3, 1400);
	for (uint32_t segment = 1; segment <= 2; segment++) {
		struct file *f = &files[segment];

		restore();
		memcpy(bent, f->p, f->n);
		bent[8] = 2; /* version, as an editor would change it ... */
		file_store(rig_path(&g, segment), bent, f->n);
		assert_refused("has version 2");
		seal(bent); /* ... and as a later program would write it */
		file_store(rig_path(&g, segment), bent, f->n);
		assert_refused("has version 2");
		assert_true(untouched(segment, bent, f->n));

		memcpy(bent, f->p, f->n);
		memcpy(bent + 72, "another.sample", 14);
		seal(bent);
		file_store(rig_path(&g, segment), bent, f->n);
		assert_refused("belongs to the organisation \"another.sample\"");
		assert_true(untouched(segment, bent, f->n));

		memset(bent, 0, f->n); /* sparse files read like this */
		file_store(rig_path(&g, segment), bent, f->n);
		assert_refused("is no journal segment");
		file_store(rig_path(&g, segment), (const uint8_t *)"# notes\n", 8);
		assert_refused("is no journal segment");
		assert_true(untouched(segment, (const uint8_t *)"# notes\n", 8));
	}
	restore();
	for (size_t n = 0; n < SEGMENT_HEADER; n += 73) {
		file_store(rig_path(&g, 1), files[1].p, n);
		assert_refused("is empty or cut off");
		assert_true(untouched(1, files[1].p, n));
	}
}

/* More than a bit of a header wrong: its records are still there. */
static void
header_broken(void **state)
{
	static uint8_t bent[FILE_MAX];

	(void)state;
	make(6, 3, 1400);
	for (uint32_t segment = 1; segment <= 3; segment++) {
		struct file *f = &files[segment];

		restore();
		memcpy(bent, f->p, f->n);
		memset(bent + 24, 0x5a, 100);
		file_store(rig_path(&g, segment), bent, f->n);
		rig_must_open(&g, &seen);
		assert_int_equal(seen.n, n_records);
		assert_int_equal(seen.damaged, 1);
		assert_int_equal(strtol(seen.file[0], NULL, 10), segment);
		assert_int_equal(seen.damage[0].bytes, SEGMENT_HEADER);
		rig_append_block(&g, 1);
		rig_close(&g);
		assert_true(segment != 3 || untouched(segment, bent, f->n));
		for (uint64_t after = 0; after <= n_records; after++) {
			read_after(g.dir, after, &seen, &sum);
			for (uint64_t seq = after + 1; seq <= n_records + 1; seq++)
				assert_int_equal(seen.times[seq], 1);
		}
	}
}

/* A hole of many gigabytes is passed over, not read. */
static void
sparse_tail(void **state)
{
	struct stat st;

	(void)state;
	make(3, 3, 1 << 20);
	assert_int_equal(truncate(rig_path(&g, 1), (off_t)200 << 30), 0);
	rig_must_open(&g, &seen);
	assert_int_equal(seen.n, 9);
	assert_int_equal(seen.damaged, 1);
	assert_int_equal(seen.damage[0].offset, files[1].n);
	rig_append_block(&g, 2);
	rig_close(&g);
	assert_int_equal(stat(rig_path(&g, 1), &st), 0);
	assert_int_equal(st.st_size, (off_t)200 << 30);
	read_after(g.dir, 0, &seen, &sum);
	assert_int_equal(seen.n, 11);
}

/* ---- segments that no start reads any more ---- */

static void
scrub(void **state)
{
	static uint8_t bent[FILE_MAX];

	(void)state;
	log_set_level((enum log_level)-1);
	make(6, 3, 1400);
	for (uint32_t segment = 0; segment <= 2; segment++) {
		char *why;

		restore();
		if (segment > 0) {
			memcpy(bent, files[segment].p, files[segment].n);
			bent[files[segment].n - 40] ^= 4;
			file_store(rig_path(&g, segment), bent, files[segment].n);
		}
		metric_set(METRIC_JOURNAL_DAMAGE, 0);
		why = rig_open(&g, n_records, &seen);
		assert_null(why);
		assert_int_equal(g.sum.segments, 1);
		assert_int_equal(metric_value[METRIC_JOURNAL_DAMAGE], 0);
		loop_timer_stop(g.alive); /* the loop ends with the last segment */
		loop_run(g.loop);
		assert_int_equal(metric_value[METRIC_JOURNAL_DAMAGE], segment > 0);
		rig_close(&g);
	}
	/* The join between what was scrubbed and what was read. */
	restore();
	memcpy(bent, files[3].p, files[3].n);
	bent[40] ^= 0xff;
	seal(bent);
	file_store(rig_path(&g, 3), bent, files[3].n);
	mem_free(rig_open(&g, n_records, &seen));
	metric_set(METRIC_JOURNAL_DAMAGE, 0);
	loop_run(g.loop);
	assert_int_equal(metric_value[METRIC_JOURNAL_DAMAGE], 1);
}

/* Closed while a segment is being read: the pool ends it. */
static void
scrub_closed(void **state)
{
	(void)state;
	make(6, 3, 1400);
	mem_free(rig_open(&g, n_records, &seen));
	while (g.live.n == 0) /* the scrub's timer fires before the first commit ends */
		rig_append_block(&g, 1);
	rig_close(&g);
	mem_free(rig_open(&g, n_records, &seen));
	rig_close(&g); /* not even begun */
	mem_free(rig_open(&g, n_records, &seen));
	unlink(rig_path(&g, 2));
	loop_timer_stop(g.alive);
	loop_run(g.loop); /* the segment is gone: said, and over */
	rig_close(&g);
}

int
main(void)
{
#define DAMAGE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		DAMAGE_TEST(cut_last_segment),
		DAMAGE_TEST(cut_old_segment),
		DAMAGE_TEST(cut_while_recovering),
		DAMAGE_TEST(every_bit),
		DAMAGE_TEST(open_with_a_bit_wrong),
		DAMAGE_TEST(disk_blocks),
		DAMAGE_TEST(zeroed_costs_what_it_covers),
		DAMAGE_TEST(block_taken_out),
		DAMAGE_TEST(block_put_in_twice),
		DAMAGE_TEST(block_of_another_journal),
		DAMAGE_TEST(bytes_behind_the_end),
		DAMAGE_TEST(few_bytes_behind_the_end),
		DAMAGE_TEST(block_begun_twice),
		DAMAGE_TEST(block_header_gone),
		DAMAGE_TEST(block_header_cut_out),
		DAMAGE_TEST(record_out_of_place),
		DAMAGE_TEST(torn_and_damaged),
		DAMAGE_TEST(lengths),
		DAMAGE_TEST(refused_names),
		DAMAGE_TEST(refused_files),
		DAMAGE_TEST(refused_folder),
		DAMAGE_TEST(refused_contents),
		DAMAGE_TEST(header_broken),
		DAMAGE_TEST(sparse_tail),
		DAMAGE_TEST(scrub),
		DAMAGE_TEST(scrub_closed),
	};

	return cmocka_run_group_tests_name("journal_damage", tests, NULL, NULL);
}
