/* SPDX-License-Identifier: MIT */
/* window: a view of a file that may be larger than memory should be. Knows
 * nothing of what is in it. */
#ifndef LECTERN_STATE_WINDOW_H
#define LECTERN_STATE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WINDOW_SLACK 64 /* readable bytes behind every view */

struct window {
	int fd;        /* borrowed */
	uint64_t end;  /* nothing is read beyond */
	uint8_t *data; /* owned */
	uint64_t at;   /* place in the file of data[0] */
	size_t len, cap;
	bool failed;   /* the disk could not read a place; it is given as zeros */
};

/* The n bytes at `at`, followed by WINDOW_SLACK readable ones; valid until the
 * next call. NULL when the file ends before. */
const uint8_t *window_view(struct window *w, uint64_t at, size_t n);
/* The first place from `at` on where the file has data and no hole. */
uint64_t window_data(const struct window *w, uint64_t at);
/* Forgets what was read: fd is another file now. */
void window_reset(struct window *w, int fd, uint64_t end);
void window_free(struct window *w);

/* pread(2); tests replace it. */
extern ssize_t (*window_pread)(int fd, void *p, size_t n, off_t at);

#endif
