/* SPDX-License-Identifier: MIT */
/* Fuzzes web/http and web/handshake: a head is judged alike whole and byte by
 * byte; a good one is within its limits, its parts lie inside it, and every
 * question about it can be answered. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "web/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

static void
fuzz_span(const struct http_head *h, struct http_span s)
{
	fuzz_require((size_t)s.at + s.n <= h->at);
}

static void
fuzz_ask(const struct http_head *h)
{
	char host[] = "school.test";
	char *list[] = { host };
	const struct conf conf = { .hosts = { list, 1 }, .origins = { list, 1 } };
	char guest[HANDSHAKE_GUEST_LEN + 1];
	struct buf out = BUF_INIT(0);
	const char *why = NULL;
	bool fresh;
	int status = handshake_check(h, &conf, NULL, &why);

	handshake_check(h, &conf, "https://", &why);
	fuzz_require(status == 101 || why != NULL);
	handshake_host_known(h, &conf);
	handshake_guest(h, guest, &fresh);
	fuzz_require(strlen(guest) == HANDSHAKE_GUEST_LEN);
	handshake_accept(&out, h, guest, true);
	fuzz_require(memchr(out.data, '\0', out.len) == NULL);
	buf_free(&out);
}

static void
fuzz_good(const struct http_head *h)
{
	fuzz_require(h->at <= HTTP_HEAD_MAX + 1 && h->n_fields <= HTTP_FIELDS_MAX);
	fuzz_span(h, h->method);
	fuzz_span(h, h->path);
	fuzz_span(h, h->query);
	for (size_t i = 0; i < h->n_fields; i++) {
		fuzz_span(h, h->fields[i].name);
		fuzz_span(h, h->fields[i].value);
		fuzz_require(h->fields[i].name.n > 0);
	}
	fuzz_ask(h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head whole = { 0 }, slow = { 0 };
	char *copy = mem_alloc(size);
	enum http_state state, slowly = HTTP_MORE;
	size_t n = 0;

	if (size > 0)
		memcpy(copy, data, size);
	state = http_read(&whole, copy, size);
	while (slowly == HTTP_MORE && n < size)
		slowly = http_read(&slow, copy, ++n);
	fuzz_require(state == slowly && whole.at == slow.at && whole.status == slow.status);
	if (state == HTTP_DONE)
		fuzz_good(&whole);
	mem_free(copy);
	return 0;
}
