/* SPDX-License-Identifier: MIT */
/* stream: see stream.h. One map, keyed by student NUL name; an id holds no NUL,
 * so the first one separates. */
#include "flow/stream.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/metric.h"

struct streams {
	struct map *all; /* struct stream */
	struct buf key;  /* scratch */
};

struct streams *
streams_new(void)
{
	struct streams *s;

	MEM_NEW(s);
	s->all = map_new();
	return s;
}

void
streams_free(struct streams *s)
{
	if (s == NULL)
		return;
	metric_sub(METRIC_STREAMS, map_size(s->all));
	map_free(s->all, mem_free);
	buf_free(&s->key);
	mem_free(s);
}

static struct stream *
streams_make(struct streams *s, struct str key)
{
	struct stream *t = map_get(s->all, key);

	if (t == NULL) {
		MEM_NEW(t);
		map_put(s->all, key, t);
		metric_add(METRIC_STREAMS, 1);
	}
	return t;
}

static struct str
streams_key(struct streams *s, struct str student, struct str name)
{
	buf_clear(&s->key);
	buf_str(&s->key, student);
	buf_byte(&s->key, '\0');
	buf_str(&s->key, name);
	return buf_view(&s->key);
}

struct stream *
stream_of(struct streams *s, struct str student, struct str name)
{
	return streams_make(s, streams_key(s, student, name));
}

struct stream *
stream_find(struct streams *s, struct str student, struct str name)
{
	return map_get(s->all, streams_key(s, student, name));
}

bool
stream_accept(struct stream *t, uint64_t seq)
{
	if (seq <= t->accepted)
		return false;
	if (seq != t->accepted + 1)
		metric_add(METRIC_GAPS, 1);
	t->accepted = seq;
	return true;
}

bool
stream_fold(struct stream *t, uint64_t seq)
{
	if (seq <= t->durable)
		return false;
	t->durable = seq;
	if (t->accepted < seq)
		t->accepted = seq;
	return true;
}

void
streams_each(const struct streams *s, stream_each_cb *cb, void *arg)
{
	struct map_iter *sorted = map_sorted(s->all);

	for (size_t i = 0; i < map_size(s->all); i++)
		cb(arg, sorted[i].key, sorted[i].value);
	mem_free(sorted);
}

void
streams_put(struct streams *s, struct str key, uint64_t durable)
{
	stream_fold(streams_make(s, key), durable);
}
