/* SPDX-License-Identifier: MIT */
/* stream: the acknowledged event streams: the highest seq per (student,
 * stream). `durable` is part of the journal's fold; `accepted` runs ahead of it
 * for what waits for the disk. Shared by all sockets of a student, so that the
 * same event on two of them counts once. */
#ifndef LECTERN_FLOW_STREAM_H
#define LECTERN_FLOW_STREAM_H

#include "base/map.h"

#define STREAM_NAME_MAX 128 /* bytes */

struct stream {
	uint64_t durable;
	uint64_t accepted;
};

struct streams;
struct streams *streams_new(void);
void streams_free(struct streams *s);

/* The stream of this student, made when it is new; the pointer stays valid. */
struct stream *stream_of(struct streams *s, struct str student, struct str name);

/* The same, or NULL when there is no such stream: looking makes none. */
struct stream *stream_find(struct streams *s, struct str student, struct str name);

/* Front: true and accepted = seq when seq is new; counts gaps. */
bool stream_accept(struct stream *t, uint64_t seq);
/* Fold: true and durable = seq when seq is new, false for a repeat. */
bool stream_fold(struct stream *t, uint64_t seq);

/* Every stream in sorted order, for snapshots; key is student NUL name. */
typedef void stream_each_cb(void *arg, struct str key, const struct stream *t);
void streams_each(const struct streams *s, stream_each_cb *cb, void *arg);
void streams_put(struct streams *s, struct str key, uint64_t durable);

#endif
