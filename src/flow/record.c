/* SPDX-License-Identifier: MIT */
/* record: see record.h. The bodies are counted strings; nothing here judges
 * what they say. */
#include "flow/record.h"

#include <assert.h>

#include "base/pack.h"

/* `sec` stands by name: the order of the enum is not on disk. */
void
session_record_write(struct buf *out, const struct session_record *s)
{
	pack_str(out, s->user_id);
	pack_str(out, s->safe_user_id);
	pack_str(out, s->providence);
	pack_str(out, str_of(sec_name(s->sec)));
	pack_str(out, s->source);
	pack_str(out, s->stream);
	pack_str(out, s->origin);
	pack_str(out, s->agent);
	pack_str(out, s->ip);
	pack_str(out, s->locked);
}

enum err
session_record_read(struct str body, struct session_record *out)
{
	struct unpack u = { .left = body };
	struct str sec;

	out->user_id = unpack_str(&u);
	out->safe_user_id = unpack_str(&u);
	out->providence = unpack_str(&u);
	sec = unpack_str(&u);
	out->source = unpack_str(&u);
	out->stream = unpack_str(&u);
	out->origin = unpack_str(&u);
	out->agent = unpack_str(&u);
	out->ip = unpack_str(&u);
	out->locked = unpack_str(&u);
	if (u.failed || u.left.n > 0 || out->safe_user_id.n == 0 || !sec_by_name(sec, &out->sec))
		return ERR_DAMAGED;
	return ERR_OK;
}

/* Name and source are bounded far below 64 KiB at the front; a document's id
 * may be as long as the client's frame. */
void
event_record_head(struct buf *out, const struct event_record *e)
{
	assert(e->name.n <= UINT16_MAX && e->source.n <= UINT16_MAX);
	pack_u64(out, e->stream_seq);
	pack_u16(out, (uint16_t)e->name.n);
	pack_u16(out, (uint16_t)e->source.n);
	pack_u32(out, (uint32_t)e->doc_id.n);
	buf_str(out, e->name);
	buf_str(out, e->source);
	buf_str(out, e->doc_id);
}

enum err
event_record_read(struct str body, struct event_record *out)
{
	struct unpack u = { .left = body };
	size_t name, source, doc_id;

	out->stream_seq = unpack_u64(&u);
	name = unpack_u16(&u);
	source = unpack_u16(&u);
	doc_id = unpack_u32(&u);
	out->name = unpack_bytes(&u, name);
	out->source = unpack_bytes(&u, source);
	out->doc_id = unpack_bytes(&u, doc_id);
	out->json = u.left;
	return u.failed || name == 0 || u.left.n == 0 ? ERR_DAMAGED : ERR_OK;
}

void
state_record_write(struct buf *out, const struct state_record *s)
{
	pack_str(out, s->reducer);
	pack_str(out, s->student);
	pack_str(out, s->scope);
	pack_str(out, str_of(sec_name(s->sec)));
	pack_u64(out, s->folded);
	pack_u64(out, (uint64_t)s->time_us);
	buf_str(out, s->json);
}

enum err
state_record_read(struct str body, struct state_record *out)
{
	struct unpack u = { .left = body };
	struct str sec;

	out->reducer = unpack_str(&u);
	out->student = unpack_str(&u);
	out->scope = unpack_str(&u);
	sec = unpack_str(&u);
	out->folded = unpack_u64(&u);
	out->time_us = (int64_t)unpack_u64(&u);
	out->json = u.left;
	if (u.failed || out->reducer.n == 0 || !sec_by_name(sec, &out->sec) ||
	    (out->student.n == 0) != (out->json.n == 0))
		return ERR_DAMAGED;
	return ERR_OK;
}
