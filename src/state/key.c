/* SPDX-License-Identifier: MIT */
/* key: see key.h. Learning Observer's format (State,reducer,fields sorted by
 * name), with the escaping it lacks. Knows no reducers. */
#include "state/key.h"

/* What cannot stand in a value as it is: the two separators, the escape itself,
 * and bytes that would break a line or end a C string. */
static const bool key_special[256] = {
	[0x00 ... 0x1f] = true, [','] = true, [':'] = true, ['%'] = true, [0x7f] = true
};

void
key_escape(struct buf *out, struct str value)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t plain = 0;

	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if (!key_special[c])
			continue;
		buf_add(out, value.p + plain, i - plain);
		buf_add(out, (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3);
		plain = i + 1;
	}
	if (plain < value.n)
		buf_add(out, value.p + plain, value.n - plain);
}

static void
key_begin(struct buf *out, const char *reducer)
{
	buf_z(out, "Internal,");
	buf_z(out, reducer);
}

static void
key_field(struct buf *out, const char *name)
{
	buf_z(out, ",EventField.");
	buf_z(out, name);
	buf_byte(out, ':');
}

static void
key_end(struct buf *out, struct str student)
{
	buf_z(out, ",STUDENT:");
	key_escape(out, student);
}

void
key_write(struct buf *out, const char *reducer, struct str student,
    const struct key_field *fields, size_t n)
{
	key_begin(out, reducer);
	for (size_t i = 0; i < n; i++) {
		key_field(out, fields[i].name);
		key_escape(out, fields[i].value);
	}
	key_end(out, student);
}

bool
key_write_escaped(struct buf *out, const char *reducer, struct str student,
    const char *const *names, struct str values)
{
	bool more = *names != NULL;

	key_begin(out, reducer);
	for (; *names != NULL && more; names++) {
		const char *comma = values.n > 0 ? memchr(values.p, ',', values.n) : NULL;
		size_t n = comma != NULL ? (size_t)(comma - values.p) : values.n;

		key_field(out, *names);
		buf_add(out, values.p, n);
		more = comma != NULL;
		if (more)
			n++;
		values = (struct str){ n > 0 ? values.p + n : values.p, values.n - n };
	}
	key_end(out, student);
	return *names == NULL && !more && values.n == 0;
}
