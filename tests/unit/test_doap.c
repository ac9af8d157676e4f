/* SPDX-License-Identifier: MIT */
/* Holds lectern.doap (XEP-0453) against what the service announces: the file is
 * well-formed, each of its XEPs is complete, and each feature of disco#info stands
 * in its notes and no other. */
#include "xmpp_world.h"

#define NS_DOAP "http://usefulinc.com/ns/doap#"
#define NS_DOAP_XMPP "https://linkmauve.fr/ns/xmpp-doap#"
#define DOAP_SEPARATORS ";, \n"

static struct buf notes;  /* words, a space around each */
static size_t projects, xeps;

/* ---- the file ---- */

/* Words into `notes`. */
static void
doap_words(struct str text)
{
	char *copy = mem_str(text), *rest = copy, *word;

	while ((word = strsep(&rest, DOAP_SEPARATORS)) != NULL)
		if (word[0] != '\0')
			buf_printf(&notes, " %s ", word);
	mem_free(copy);
}

static void
doap_filled(const struct xml *x, const char *ns, const char *name)
{
	const struct xml *child = xml_child(x, ns, name);

	if (child == NULL || child->text.n == 0)
		fail_msg("<%s/> without %s", x->name, name);
}

static void
doap_xep(const struct xml *x)
{
	static const char *const states[] = { "complete", "partial", "planned", "deprecated" };
	const struct xml *status = xml_child(x, NS_DOAP_XMPP, "status");
	const struct xml *note = xml_child(x, NS_DOAP_XMPP, "note");
	size_t known = 0;

	doap_filled(x, NS_DOAP_XMPP, "version");
	doap_filled(x, NS_DOAP_XMPP, "status");
	for (size_t i = 0; i < COUNT(states); i++)
		known += str_is(status->text, states[i]);
	assert_int_equal(known, 1);
	if (note != NULL)
		doap_words(note->text);
	xeps++;
}

static void
doap_stanza_cb(void *arg, const struct xml *rdf)
{
	const struct xml *project = xml_child(rdf, NS_DOAP, "Project");

	(void)arg;
	assert_non_null(project);
	doap_filled(project, NS_DOAP, "name");
	doap_filled(project, NS_DOAP, "shortdesc");
	assert_true(str_is(xml_child(project, NS_DOAP, "programming-language")->text, "C"));
	assert_non_null(xml_child(project, NS_DOAP, "license"));
	for (const struct xml *x = project->first; x != NULL; x = x->next)
		if (xml_is(x, NS_DOAP, "implements") && x->first != NULL)
			doap_xep(x->first);
	projects++;
}

static void
doap_read(void)
{
	static const struct xml_reader_ops ops = {
		ears_header_cb, doap_stanza_cb, ears_refused_cb, ears_nothing_cb
	};
	const char *top = getenv("top_srcdir") ? getenv("top_srcdir") : getenv("srcdir");
	char *path = mem_printf("%s/lectern.doap", top ? top : "."), text[32768];
	FILE *f = fopen(path, "r");
	struct xml_reader *r = xml_reader_new(&ops, NULL);
	const char *root;

	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	assert_true(feof(f));
	fclose(f);
	/* Inside a stream there is neither a declaration nor a comment. */
	root = strstr(text, "<rdf:RDF");
	assert_non_null(root);
	assert_int_equal(xml_reader_feed(r, STR_LIT(WORLD_HEADER)), XML_OK);
	assert_int_equal(xml_reader_feed(r, str_of(root)), XML_OK);
	xml_reader_free(r);
	mem_free(path);
}

static void
begin_file(void)
{
	notes = BUF_INIT(0);
	projects = xeps = 0;
	doap_read();
	buf_byte(&notes, '\0');
	assert_int_equal(projects, 1);
	assert_true(xeps > 10);
}

/* ---- and the service ---- */

/* As it stands in a note: those of XEP-0060 without what they have in common. */
static char *
doap_feature(const char *var, size_t n)
{
	size_t shared = sizeof NS_PUBSUB "#" - 1;
	struct str rest = { var + shared, n - shared };

	if (n <= shared || strncmp(var, NS_PUBSUB "#", shared) != 0)
		return mem_str((struct str){ var, n });
	return mem_printf("pubsub#%.*s", STR_ARG(rest));
}

static void
doap_announced(struct buf *out)
{
	static const char before[] = "<feature var='";

	ask("get", DESK, "<query xmlns='" NS_DISCO_INFO "'/>");
	for (const char *p = last_said(); (p = strstr(p, before)) != NULL;) {
		char *name;

		p += sizeof before - 1;
		name = doap_feature(p, strcspn(p, "'"));
		buf_printf(out, " %s ", name);
		mem_free(name);
	}
	buf_byte(out, '\0');
}

/* Each word of one that is a namespace or a feature is a word of the other. */
static void
doap_within(const char *some, const char *all)
{
	char *copy = mem_strdup(some), *rest = copy, *word;
	size_t n = 0;

	while ((word = strsep(&rest, " ")) != NULL) {
		char *whole = mem_printf(" %s ", word);

		if (strchr(word, ':') != NULL || strchr(word, '#') != NULL) {
			n++;
			if (strstr(all, whole) == NULL)
				fail_msg("%s is not in both lectern.doap and disco#info", word);
		}
		mem_free(whole);
	}
	assert_true(n > 10);
	mem_free(copy);
}

static void
test_features(void **state)
{
	struct buf announced = BUF_INIT(0);
	(void)state;

	begin_file();
	doap_announced(&announced);
	doap_within(announced.data, notes.data);
	doap_within(notes.data, announced.data);
	buf_free(&announced);
	buf_free(&notes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_features),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
