/* SPDX-License-Identifier: MIT */
/* journal_block: a block gathering records in memory, in the very bytes that
 * go to the disk. */
#include "base/mem.h"
#include "state/journal_priv.h"

#define JOURNAL_BLOCK_FIRST ((size_t)64 << 10) /* bytes of the first allocation */
#define JOURNAL_BLOCK_KEEP ((size_t)16 << 20)  /* more is given back at once */
#define JOURNAL_BLOCK_SPACIOUS 64              /* so many small blocks: give it back */
#define JOURNAL_BLOCK_TAIL (SEGMENT_TRAILER + SEGMENT_SLACK)

struct journal_block *
journal_block_new(void)
{
	struct journal_block *b;

	MEM_NEW(b);
	b->len = SEGMENT_BLOCK;
	return b;
}

void
journal_block_free(struct journal_block *b)
{
	mem_free(b->data);
	mem_free(b);
}

void
journal_blocks_free(struct journal_blocks *list)
{
	struct journal_block *b;

	while ((b = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, b, link);
		journal_block_free(b);
	}
}

void
journal_block_reset(struct journal_block *b)
{
	b->spacious = b->len < b->cap / 4 && b->cap > JOURNAL_BLOCK_FIRST ? b->spacious + 1 : 0;
	if (b->cap > JOURNAL_BLOCK_KEEP || b->spacious >= JOURNAL_BLOCK_SPACIOUS) {
		mem_free(b->data);
		b->data = NULL;
		b->cap = 0;
		b->spacious = 0;
	}
	b->len = SEGMENT_BLOCK;
	b->count = 0;
}

static void
journal_block_grow(struct journal_block *b, size_t need)
{
	size_t cap = b->cap ? b->cap : JOURNAL_BLOCK_FIRST;

	while (cap < need)
		cap *= 2;
	b->data = mem_realloc(b->data, cap);
	b->cap = cap;
}

size_t
journal_block_put(struct journal_block *b, const struct record *r, const struct str *pieces,
    size_t n)
{
	size_t size = segment_record_size(r->body.n);

	if (b->cap - b->len < size + JOURNAL_BLOCK_TAIL || b->data == NULL)
		journal_block_grow(b, b->len + size + JOURNAL_BLOCK_TAIL);
	if (b->count++ == 0)
		b->first_seq = r->seq;
	b->len += segment_record_encode(b->data + b->len, r, pieces, n);
	return size;
}
