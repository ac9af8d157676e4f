/* SPDX-License-Identifier: MIT */
/* journal_disk: blocks to the disk. Runs in the pool, one block at a time, and
 * knows nothing of the loop.
 *
 * What fdatasync has refused once may be gone from the page cache and look
 * clean there: asking again about the same pages would lie. So a segment that
 * failed takes nothing more, and the same block goes into a new file. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "state/journal_priv.h"

#define JOURNAL_PIECE ((size_t)1 << 20) /* bytes written before the device is nudged */

struct journal_io journal_io = {
	.pwrite = pwrite,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.ftruncate = ftruncate,
	.unlinkat = unlinkat,
};

/* Notes which call failed; errno says how. */
static bool
journal_disk_failed(struct journal_disk *d, const char *what)
{
	d->failed = what;
	return false;
}

/* Written in pieces, each handed to the device at once, so that it works while
 * the rest is copied and hashed. Only a hint, its answer says nothing: whether
 * the bytes are there is what fdatasync answers. */
static bool
journal_disk_write(struct journal_disk *d, int fd, const uint8_t *p, size_t n, uint64_t at)
{
	while (n > 0) {
		size_t piece = n < JOURNAL_PIECE ? n : JOURNAL_PIECE;
		ssize_t put = journal_io.pwrite(fd, p, piece, (off_t)at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put == 0)
			errno = ENOSPC; /* a device that takes nothing */
		if (put <= 0)
			return journal_disk_failed(d, "write");
		if (piece == JOURNAL_PIECE)
			(void)sync_file_range(fd, (off_t)at, put, SYNC_FILE_RANGE_WRITE);
		p += put;
		n -= (size_t)put;
		at += (uint64_t)put;
	}
	return true;
}

static bool
journal_disk_sync(struct journal_disk *d, int fd)
{
	return journal_io.fdatasync(fd) == 0 || journal_disk_failed(d, "fdatasync");
}

static size_t
journal_disk_length(const struct journal_block *b)
{
	return b->len + SEGMENT_TRAILER;
}

/* The whole block at this place: header, records, and the trailer, which is
 * computed while the device already has the records. Durable when true. */
static bool
journal_disk_block(struct journal_disk *d, int fd, struct journal_block *b, uint64_t at)
{
	size_t length = journal_disk_length(b);
	struct segment_block head = {
		.length = (uint32_t)length, .count = b->count, .first_seq = b->first_seq
	};

	assert(b->count > 0 && length <= SEGMENT_BLOCK_MAX);
	segment_block_encode(&head, b->data);
	memset(b->data + length, 0, SEGMENT_SLACK);
	if (!journal_disk_write(d, fd, b->data, b->len, at))
		return false;
	segment_trailer(d->chain, b->data, length, b->data + b->len);
	return journal_disk_write(d, fd, b->data + b->len, SEGMENT_TRAILER, at + b->len) &&
	    journal_disk_sync(d, fd);
}

/* ---- a new segment ---- */

/* A segment that never counted. */
static void
journal_disk_remove(struct journal_disk *d, uint32_t number)
{
	char name[JOURNAL_NAME];

	if (journal_io.unlinkat(d->dir, journal_name(number, name), 0) == 0 || errno == ENOENT)
		d->leftover = 0;
	else
		d->leftover = number;
}

static bool
journal_disk_fill(struct journal_disk *d, int fd, const struct segment_header *h,
    struct journal_block *b)
{
	uint8_t head[SEGMENT_HEADER];

	segment_header_encode(h, head);
	return journal_disk_write(d, fd, head, sizeof head, 0) &&
	    journal_disk_block(d, fd, b, sizeof head) &&
	    (journal_io.fsync(d->dir) == 0 || journal_disk_failed(d, "fsync of the folder"));
}

/* A new segment with the block as its first. */
static bool
journal_disk_begin(struct journal_disk *d, uint32_t number, struct journal_block *b)
{
	struct segment_header h = {
		.number = number,
		.continued = b->segment < number,
		.first_seq = b->first_seq,
		.before_end = d->end,
	};
	char name[JOURNAL_NAME];
	int fd, saved;

	memcpy(h.before, d->chain, sizeof h.before);
	memcpy(h.organisation, d->organisation, strlen(d->organisation));
	if (d->leftover != 0)
		journal_disk_remove(d, d->leftover);
	fd = openat(d->dir, journal_name(number, name),
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return journal_disk_failed(d, "making a segment");
	if (!journal_disk_fill(d, fd, &h, b)) {
		saved = errno;
		close(fd);
		journal_disk_remove(d, number);
		errno = saved;
		return false;
	}
	if (d->fd >= 0)
		close(d->fd); /* all of it is durable */
	d->fd = fd;
	d->number = number;
	d->end = SEGMENT_HEADER + journal_disk_length(b);
	return true;
}

/* ---- a segment that is there ---- */

/* The cut may fail, too: the next segment's header says where this one ended. */
static void
journal_disk_give_up(struct journal_disk *d)
{
	int saved = errno;

	if (journal_io.ftruncate(d->fd, (off_t)d->end) != 0)
		log_warning("journal segment=%u cannot be cut after a failed write: %s",
		    d->number, strerror(errno));
	close(d->fd);
	d->fd = -1;
	errno = saved;
}

static bool
journal_disk_append(struct journal_disk *d, struct journal_block *b)
{
	if (!journal_disk_block(d, d->fd, b, d->end)) {
		journal_disk_give_up(d);
		return false;
	}
	d->end += journal_disk_length(b);
	return true;
}

int
journal_disk_commit(struct journal_disk *d, struct journal_block *b)
{
	uint32_t number = d->fd < 0 ? d->number + 1 : d->number;
	bool done;

	if (b->segment > number)
		number = b->segment;
	if (d->fd >= 0 && number == d->number)
		done = journal_disk_append(d, b);
	else
		done = journal_disk_begin(d, number, b);
	if (!done)
		return errno != 0 ? errno : EIO;
	memcpy(d->chain, b->data + b->len, SEGMENT_TRAILER);
	return 0;
}

void
journal_disk_close(struct journal_disk *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	mem_free(d->organisation);
	d->organisation = NULL;
}
