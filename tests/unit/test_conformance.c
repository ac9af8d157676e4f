/* SPDX-License-Identifier: MIT */
/* Plays tests/conformance/x.conv against the service; the README there says how
 * they are written. Each file is one test with a world of its own. */
#include <dirent.h>

#include "xmpp_world.h"

#define CONV_STUDENTS 3
#define CONV_DESK "desk"
#define CONV_ADMIN "admin@school.test"

static const struct {
	const char *name, *jid;
} people[] = {
	{ "teacher", TEACHER },
	{ "second", "second@school.test" },
	{ "other", "other@school.test" },
	{ "parent", "parent@home.test" },
	{ "stranger", "stranger@school.test" },
	{ "admin", CONV_ADMIN },
};

static bool
conv_is_admin(void *arg, struct str jid)
{
	(void)arg;
	return str_is(jid, CONV_ADMIN);
}

/* No conversation has a command of admins run. */
static const struct service_admin conv_admin = { .is = conv_is_admin };
static char *conv_uris[] = { "mailto:admin@school.example", "xmpp:admin@school.example" };
static const struct conf_list conv_contact = { conv_uris, COUNT(conv_uris) };
static const struct service_about conv_about = { &conv_contact, "https://school.example/privacy" };

static const char *conv_file, *conv_section;
static size_t conv_line;

#define conv_fail(...)                                                          \
	do {                                                                    \
		print_error("%s:%zu: [%s] ", conv_file, conv_line, conv_section); \
		fail_msg(__VA_ARGS__);                                          \
	} while (0)

/* ---- names ---- */

/* NAME or NAME/RESOURCE as a JID; whole: with the desk, when none is named. */
static bool
conv_person(struct str text, bool whole, struct buf *out)
{
	const char *slash = memchr(text.p, '/', text.n);
	struct str name = { text.p, slash != NULL ? (size_t)(slash - text.p) : text.n };

	for (size_t i = 0; i < COUNT(people); i++) {
		if (!str_is(name, people[i].name))
			continue;
		buf_z(out, people[i].jid);
		if (slash != NULL)
			buf_add(out, slash, text.n - name.n);
		else if (whole)
			buf_z(out, "/" CONV_DESK);
		return true;
	}
	return false;
}

static void
conv_name(struct str name, struct buf *out)
{
	char student[16];

	if (str_is(name, "service"))
		buf_z(out, SERVICE);
	else if (str_is(name, "server"))
		buf_z(out, SERVER);
	else if (str_is(name, "counts"))
		buf_z(out, COUNTS);
	else if (str_is(name, "names"))
		buf_z(out, NAMES);
	else if (name.n == 1 && name.p[0] >= '1' && name.p[0] <= '9') {
		snprintf(student, sizeof student, "u%c", name.p[0]);
		buf_z(out, pseudonym(student));
	} else if (!conv_person(name, false, out))
		conv_fail("{%.*s} stands for nothing", STR_ARG(name));
}

/* The text with every {name} replaced; ends in NUL. */
static struct buf
conv_fill(const char *text)
{
	struct buf out = BUF_INIT(0);

	while (*text != '\0') {
		size_t plain = strcspn(text, "{");
		size_t name = strcspn(text + plain, "}");

		buf_add(&out, text, plain);
		text += plain;
		if (*text == '\0')
			break;
		conv_name((struct str){ text + 1, name - 1 }, &out);
		text += name + 1;
	}
	buf_byte(&out, '\0');
	return out;
}

/* ---- comparing ---- */

static bool
conv_blank(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (strchr(" \t\n", s.p[i]) == NULL)
			return false;
	return true;
}

static bool
conv_text_fits(const struct xml *want, const struct xml *got)
{
	if (conv_blank(want->text))
		return conv_blank(got->text);
	return str_is(want->text, "*") || str_eq(want->text, got->text);
}

static bool
conv_attrs_fit(const struct xml *want, const struct xml *got)
{
	size_t named = 0;

	for (size_t i = 0; i < want->n_attrs; i++) {
		const char *value = xml_attr(got, want->attrs[i].name);

		if (value == NULL || (strcmp(want->attrs[i].value, "*") != 0 &&
		    strcmp(want->attrs[i].value, value) != 0))
			return false;
	}
	for (size_t i = 0; i < got->n_attrs; i++) {
		const char *name = got->attrs[i].name;
		bool address = got->parent == NULL &&
		    (strcmp(name, "from") == 0 || strcmp(name, "to") == 0);

		named += xml_attr(want, name) != NULL || address;
	}
	return named == got->n_attrs;
}

static bool
conv_fits(const struct xml *want, const struct xml *got)
{
	const struct xml *w, *g;

	if (!xml_is(got, want->ns, want->name) || !conv_attrs_fit(want, got) ||
	    !conv_text_fits(want, got))
		return false;
	for (w = want->first, g = got->first; w != NULL && g != NULL; w = w->next, g = g->next) {
		if (strcmp(w->name, "etc") == 0)
			return true;
		if (strcmp(w->name, "_") != 0 && !conv_fits(w, g))
			return false;
	}
	return g == NULL && (w == NULL || strcmp(w->name, "etc") == 0);
}

/* The stanza got, held while the pattern is read in the same way. */
struct conv_match {
	const char *pattern;
	const struct xml *got;
	bool read, fits;
};

static void
conv_pattern_cb(void *arg, const struct xml *want)
{
	struct conv_match *m = arg;

	m->read = true;
	m->fits = conv_fits(want, m->got);
}

static const struct xml_reader_ops conv_pattern_ops = {
	ears_header_cb, conv_pattern_cb, ears_refused_cb, ears_nothing_cb
};

static void
conv_got_cb(void *arg, const struct xml *got)
{
	struct conv_match *m = arg;
	struct xml_reader *r = xml_reader_new(&conv_pattern_ops, m);

	m->got = got;
	xml_reader_feed(r, STR_LIT(WORLD_HEADER));
	xml_reader_feed(r, str_of(m->pattern));
	xml_reader_free(r);
}

static const struct xml_reader_ops conv_got_ops = {
	ears_header_cb, conv_got_cb, ears_refused_cb, ears_nothing_cb
};

static void
conv_compare(const char *pattern, const char *got)
{
	struct conv_match m = { .pattern = pattern };
	struct xml_reader *r = xml_reader_new(&conv_got_ops, &m);

	xml_reader_feed(r, STR_LIT(WORLD_HEADER));
	xml_reader_feed(r, str_of(got));
	xml_reader_free(r);
	if (!m.read)
		conv_fail("the pattern is no stanza: %s", pattern);
	if (!m.fits)
		conv_fail("\nexpected %s\ngot      %s", pattern, got);
}

/* ---- steps ---- */

static bool conv_taken[SAID_MAX];

static void
conv_expect(const char *jid, const char *pattern)
{
	bool nothing = strcmp(pattern, "nothing") == 0;

	settle();
	for (size_t i = 0; i < n_said; i++) {
		if (conv_taken[i] || strcmp(said[i].to, jid) != 0)
			continue;
		if (nothing)
			conv_fail("%s received %s", jid, said[i].text);
		conv_taken[i] = true;
		conv_compare(pattern, said[i].text);
		return;
	}
	if (!nothing)
		conv_fail("%s received nothing", jid);
}

/* The stanza with from and to after its name. */
static void
conv_send(const char *jid, const char *text)
{
	size_t name = strcspn(text, " />\n");
	bool to = strstr(text, " to='") != NULL && strstr(text, " to='") < strchr(text, '>');

	tell("%.*s from='%s'%s%s", (int)name, text, jid, to ? "" : " to='" SERVICE "'",
	    text + name);
}

static void
conv_stanza_step(const char *step)
{
	const char *colon = strstr(step, ": ");
	struct buf jid = BUF_INIT(0), text;

	if (colon == NULL ||
	    !conv_person((struct str){ step + 2, (size_t)(colon - step - 2) }, true, &jid))
		conv_fail("whose step is this? %s", step);
	buf_byte(&jid, '\0');
	text = conv_fill(colon + 2);
	if (step[0] == 'C')
		conv_send(jid.data, text.data);
	else
		conv_expect(jid.data[0] ? jid.data : "", text.data);
	buf_free(&jid);
	buf_free(&text);
}

static void
conv_world_step(const char *step)
{
	char student[16];

	if (sscanf(step, "event %10s", student) == 1) {
		char id[24];

		snprintf(id, sizeof id, "u%s", student);
		event(id);
	} else if (strcmp(step, "roster without teacher") == 0) {
		set_roster(CONV_STUDENTS, false);
	} else if (strcmp(step, "roster") == 0) {
		set_roster(CONV_STUDENTS, true);
	} else {
		conv_fail("what is \"%s\"?", step);
	}
	turns(4);
}

static void
conv_step(char *step)
{
	size_t n = strlen(step);

	while (n > 0 && strchr(" \t\n", step[n - 1]) != NULL)
		step[--n] = '\0';
	if (n == 0)
		return;
	if (strncmp(step, "## ", 3) == 0) {
		mem_free((char *)conv_section);
		conv_section = mem_strdup(step + 3);
	} else if (step[0] == 'C' || step[0] == 'S') {
		conv_stanza_step(step);
	} else if (step[0] == '!') {
		conv_world_step(step + 2);
	} else if (step[0] != '#') {
		conv_fail("not a step: %s", step);
	}
}

static void
conv_play(FILE *f)
{
	struct buf step = BUF_INIT(0);
	char line[4096];
	size_t at = 0;

	while (fgets(line, sizeof line, f) != NULL) {
		at++;
		if (line[0] != ' ' && line[0] != '\t' && step.len > 0) {
			buf_byte(&step, '\0');
			conv_step(step.data);
			buf_clear(&step);
		}
		if (step.len == 0)
			conv_line = at;
		buf_z(&step, line);
	}
	buf_byte(&step, '\0');
	conv_step(step.data);
	buf_free(&step);
}

/* ---- files ---- */

static const char *
conv_dir(void)
{
	static char path[4096];
	const char *top = getenv("top_srcdir") ? getenv("top_srcdir") : getenv("srcdir");

	snprintf(path, sizeof path, "%s/tests/conformance", top ? top : ".");
	return path;
}

static void
conv_test(void **state)
{
	char path[8192];
	FILE *f;

	conv_file = *state;
	conv_section = mem_strdup("before the first section");
	memset(conv_taken, 0, sizeof conv_taken);
	snprintf(path, sizeof path, "%s/%s", conv_dir(), conv_file);
	f = fopen(path, "r");
	assert_non_null(f);
	world_admin = &conv_admin;
	world_about = &conv_about;
	world_open(CONV_STUDENTS, 200);
	conv_play(f);
	assert_int_equal(book_size(service->book), 0);
	world_close();
	fclose(f);
	mem_free((char *)conv_section);
}

static int
conv_is_file(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && strcmp(d->d_name + n - 5, ".conv") == 0;
}

int
main(void)
{
	struct CMUnitTest *tests;
	struct dirent **files;
	int n = scandir(conv_dir(), &files, conv_is_file, alphasort), failed;

	if (n <= 0) {
		fprintf(stderr, "no conversations in %s\n", conv_dir());
		return 1;
	}
	tests = mem_zalloc((size_t)n * sizeof *tests);
	for (int i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){ files[i]->d_name, conv_test, NULL, NULL,
			files[i]->d_name };
	failed = _cmocka_run_group_tests("conformance", tests, (size_t)n, NULL, NULL);
	for (int i = 0; i < n; i++)
		(free)(files[i]); /* scandir's */
	(free)(files);
	mem_free(tests);
	return failed;
}
