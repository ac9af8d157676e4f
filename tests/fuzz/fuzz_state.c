/* SPDX-License-Identifier: MIT */
/* Fuzzes states that come from outside. The first byte chooses: even, the rest is
 * the body of a RECORD_STATE, which the engine folds; odd, an item id up to the
 * first NUL and its JSON, as a producer publishes them. Whatever is taken reads
 * back, and is one state more or a newer one. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "flow/feed_priv.h"
#include "flow/record.h"
#include "state/journal_priv.h"

#define KEY STR_LIT("a key for pseudonyms in tests only")

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *fuzz_words[] = { "t.words" }, *fuzz_docs[] = { "t.docs" }, *fuzz_scope[] = { "doc_id" };
static struct conf_producer fuzz_producers[] = {
	{ .name = "words", .jid = "words.school.test", .reducers = { fuzz_words, 1 } },
	{ .name = "docs", .jid = "docs.school.test", .reducers = { fuzz_docs, 1 },
	    .scope = { fuzz_scope, 1 } },
};
static struct conf fuzz_conf = { .producers = fuzz_producers, .n_producers = 2 };

static struct producers *fuzz_all;
static struct loop *fuzz_loop;
static struct roster *fuzz_roster;

static void
fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *why = NULL;
	char *no = NULL;

	(void)argc;
	(void)argv;
	log_set_level((enum log_level)-1);
	fuzz_loop = loop_new();
	fuzz_all = producers_new(&fuzz_conf, &no);
	fuzz_roster = roster_new(KEY);
	fuzz_require(fuzz_all != NULL && roster_add(fuzz_roster, &(struct roster_row){
	    .role = ROSTER_STUDENT, .class = STR_LIT("7b"), .id = STR_LIT("a"),
	    .name = STR_LIT("A") }, &why) == ERR_OK && roster_seal(fuzz_roster, &why) == ERR_OK);
	return 0;
}

static struct engine *
fuzz_engine(void)
{
	struct engine_options o = { .reducers = producers_reducers(fuzz_all), .pseudonym_key = KEY };
	char *why = NULL;

	return engine_new(&o, &why);
}

static void
fuzz_record(struct engine *e, uint64_t seq, struct str body)
{
	struct record r = { .seq = seq, .session = seq, .type = RECORD_STATE, .body = body };

	engine_record(e, &r);
}

/* Twice the same record is one state, and its JSON is the record's. */
static void
fuzz_fold(struct str body)
{
	struct engine *e = fuzz_engine();
	struct state_record sr;
	struct state *s;
	struct buf json = BUF_INIT(0);

	fuzz_record(e, 1, body);
	s = engine_changed(e);
	fuzz_record(e, 2, body);
	fuzz_require(engine_changed(e) == NULL && engine_position(e) == 2);
	if (s != NULL) {
		fuzz_require(state_record_read(body, &sr) == ERR_OK && s->seq == 1);
		engine_encode(s, &json);
		fuzz_require(str_eq(buf_view(&json), sr.json));
	}
	buf_free(&json);
	engine_free(e);
}

/* What is taken is a record that the engine takes, too. */
static void
fuzz_publish(struct str text)
{
	const char *nul = memchr(text.p, '\0', text.n);
	struct str id = { text.p, nul != NULL ? (size_t)(nul - text.p) : text.n };
	struct engine *e = fuzz_engine();
	struct feed f = { .o = { .loop = fuzz_loop, .engine = e, .producers = fuzz_all } };

	engine_loaded(e, 100);
	for (size_t i = 0; i < 2; i++) {
		struct producer *p = producers_at(fuzz_all, i);
		struct publish *b = publish_new(&f, fuzz_roster, p, p->reducers[0]);
		size_t after = id.n < text.n ? id.n + 1 : id.n;
		const char *why = NULL;
		char *copy = mem_str(id);
		enum err err = publish_add(b, str_of(copy), (struct str){ text.p + after, text.n - after },
		    &why);

		fuzz_require((err == ERR_OK) == (why == NULL));
		publish_free(b);
		mem_free(copy);
	}
	engine_free(e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size < 2)
		return 0;
	copy = mem_zalloc(size + SEGMENT_SLACK);
	memcpy(copy, data + 1, size - 1);
	if (data[0] % 2 == 0)
		fuzz_fold((struct str){ copy, size - 1 });
	else
		fuzz_publish((struct str){ copy, size - 1 });
	mem_free(copy);
	return 0;
}
