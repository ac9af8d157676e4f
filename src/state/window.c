/* SPDX-License-Identifier: MIT */
/* window: see window.h. No mmap: a file cut short under us would end the
 * process. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "state/window.h"

#define WINDOW_AHEAD ((size_t)1 << 20) /* bytes read ahead */
#define WINDOW_SECTOR 4096              /* what one bad spot of a disk takes with it */

ssize_t (*window_pread)(int fd, void *p, size_t n, off_t at) = pread;

/* Reads n bytes at `at`, fewer only at the end of the file. */
static size_t
window_read(struct window *w, uint8_t *p, uint64_t at, size_t n)
{
	size_t done = 0, step = n;

	while (done < n) {
		size_t want = n - done < step ? n - done : step;
		ssize_t got = window_pread(w->fd, p + done, want, (off_t)(at + done));

		if (got == 0)
			break;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && want > WINDOW_SECTOR) {
			step = WINDOW_SECTOR;
			continue;
		}
		if (got < 0) {
			memset(p + done, 0, want);
			w->failed = true;
		}
		done += got < 0 ? want : (size_t)got;
	}
	return done;
}

/* Moves the window so that it begins at `at` and holds n bytes and more. */
static void
window_move(struct window *w, uint64_t at, size_t n)
{
	size_t want = n > WINDOW_AHEAD ? n : WINDOW_AHEAD, kept = 0;

	if (want > w->end - at)
		want = w->end - at;
	if (at >= w->at && at < w->at + w->len) {
		kept = w->len - (size_t)(at - w->at);
		memmove(w->data, w->data + (at - w->at), kept);
	}
	if (w->cap < want + WINDOW_SLACK) {
		w->cap = want + WINDOW_SLACK;
		w->data = mem_realloc(w->data, w->cap);
	}
	w->at = at;
	w->len = kept;
	if (kept < want)
		w->len += window_read(w, w->data + kept, at + kept, want - kept);
	memset(w->data + w->len, 0, WINDOW_SLACK);
}

const uint8_t *
window_view(struct window *w, uint64_t at, size_t n)
{
	if (at > w->end || n > w->end - at)
		return NULL;
	if (at < w->at || at + n > w->at + w->len)
		window_move(w, at, n);
	return n <= w->len - (at - w->at) ? w->data + (at - w->at) : NULL;
}

uint64_t
window_data(const struct window *w, uint64_t at)
{
	off_t data = lseek(w->fd, (off_t)at, SEEK_DATA);

	if (data >= 0)
		return (uint64_t)data < w->end ? (uint64_t)data : w->end;
	return errno == ENXIO ? w->end : at;
}

void
window_reset(struct window *w, int fd, uint64_t end)
{
	w->fd = fd;
	w->end = end;
	w->len = 0;
	w->failed = false;
}

void
window_free(struct window *w)
{
	mem_free(w->data);
	*w = (struct window){ .fd = -1 };
}
