/* SPDX-License-Identifier: MIT */
/* Fuzzes what web clients say behind the head: the first byte chooses the body of a
 * sign-in, as a form or JSON, or a message to the feed. Whatever it is: a status or a
 * request within its limits, and a sentence for everything that is refused. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "web/credentials.h"
#include "web/feed_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json_doc *doc;

static void
fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

static void
fuzz_body(struct str type, struct str body)
{
	struct credentials c;
	const char *why = NULL;
	int status = credentials_read(doc, type, body, &c, &why);

	fuzz_require(status == 200 || (why != NULL && status == 400));
	fuzz_require(c.user.len + c.password.len <= 3 * body.n); /* a lone surrogate grows most */
	credentials_wipe(&c);
}

static void
fuzz_message(struct str text)
{
	char *padded = mem_zalloc(text.n + JSON_PADDING);
	struct feed_message m;

	if (text.n > 0)
		memcpy(padded, text.p, text.n);
	feed_message_read(doc, (struct str){ padded, text.n }, &m);
	fuzz_require(m.op != FEED_BAD || m.why != NULL);
	fuzz_require(m.digest_ms <= FEED_DIGEST_MAX_MS && strlen(m.node) <= NODE_MAX);
	mem_free(padded);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = mem_alloc(size);
	struct str text = { copy, size > 0 ? size - 1 : 0 };

	if (doc == NULL)
		doc = json_doc_new();
	if (text.n > 0)
		memcpy(copy, data + 1, text.n);
	if (size == 0 || data[0] % 3 == 0)
		fuzz_body(STR_LIT("application/x-www-form-urlencoded"), text);
	else if (data[0] % 3 == 1)
		fuzz_body(STR_LIT("application/json"), text);
	else
		fuzz_message(text);
	mem_free(copy);
	return 0;
}
