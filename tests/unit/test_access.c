/* SPDX-License-Identifier: MIT */
/* Tests of flow/access: who may read what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "flow/access.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KEY STR_LIT("a key for pseudonyms in tests only")
#define LONG_NAME "a class whose name is so long that nobody would write it on a door, with " \
	"spaces that each become three bytes when it is encoded, and some more words to be sure"

static void
add(struct roster *r, enum roster_role role, const char *class, const char *id, const char *jid)
{
	const char *why;

	assert_int_equal(roster_add(r, &(struct roster_row){ .role = role, .class = str_of(class),
	    .id = str_of(id), .jid = str_of(jid) }, &why), ERR_OK);
}

/* tina teaches 7b, tom 8a, both the long one; ann is in 7b and 8a, bob in 7b,
 * cy in the long class. */
static struct roster *
school(void)
{
	struct roster *r = roster_new(KEY);
	const char *why;

	add(r, ROSTER_TEACHER, "7b", "", "tina@school.test");
	add(r, ROSTER_TEACHER, "8a", "", "tom@school.test");
	add(r, ROSTER_TEACHER, LONG_NAME, "", "tina@school.test");
	add(r, ROSTER_TEACHER, LONG_NAME, "", "tom@school.test");
	add(r, ROSTER_TEACHER, "~empty", "", "tom@school.test");
	add(r, ROSTER_STUDENT, "7b", "ann", "ann@school.test");
	add(r, ROSTER_STUDENT, "8a", "ann", "ann@school.test");
	add(r, ROSTER_STUDENT, "7b", "bob", "bob@school.test");
	add(r, ROSTER_STUDENT, LONG_NAME, "cy", "");
	add(r, ROSTER_GUARDIAN, "", "bob", "mum@home.test");
	assert_int_equal(roster_seal(r, &why), ERR_OK);
	return r;
}

static bool
may(const struct roster *r, const char *reader, const char *node)
{
	struct node n;

	assert_int_equal(node_parse(str_of(node), &n), ERR_OK);
	return access_may_read(r, str_of(reader), &n);
}

static char *
student_node(const char *id)
{
	char pseudonym[PSEUDONYM_LEN + 1];

	ident_pseudonym(KEY, str_of(id), pseudonym);
	return mem_printf("student/%s/a.b", pseudonym);
}

static bool
may_student(const struct roster *r, const char *reader, const char *id)
{
	char *node = student_node(id);
	bool answer = may(r, reader, node);

	mem_free(node);
	return answer;
}

static void
test_classes(void **state)
{
	struct roster *r = school();

	(void)state;
	assert_true(may(r, "tina@school.test", "class/7b/a.b"));
	assert_true(may(r, "tina@school.test", "class/7b/_roster"));
	assert_false(may(r, "tina@school.test", "class/8a/a.b"));
	assert_false(may(r, "tina@school.test", "class/8a/_roster"));
	assert_true(may(r, "tom@school.test", "class/%7Eempty/a.b"));
	/* neither students nor guardians nor strangers, nor what looks alike */
	assert_false(may(r, "ann@school.test", "class/7b/a.b"));
	assert_false(may(r, "mum@home.test", "class/7b/_roster"));
	assert_false(may(r, "eve@school.test", "class/7b/a.b"));
	assert_false(may(r, "tina@school.test/phone", "class/7b/a.b"));
	assert_false(may(r, "Tina@school.test", "class/7b/a.b"));
	assert_false(may(r, "", "class/7b/a.b"));
	/* nobody reads what is not in the roster */
	assert_false(may(r, "tina@school.test", "class/9c/a.b"));
	roster_free(r);
}

static void
test_hashed_class(void **state)
{
	struct roster *r = school();
	struct node n = { .kind = NODE_CLASS, .reducer = "a.b" };

	(void)state;
	node_class_write(str_of(LONG_NAME), n.owner);
	assert_int_equal(n.owner[0], '~');
	assert_true(access_may_read(r, STR_LIT("tina@school.test"), &n));
	assert_true(access_may_read(r, STR_LIT("tom@school.test"), &n));
	assert_false(access_may_read(r, STR_LIT("eve@school.test"), &n));
	assert_string_equal(access_class(r, &n)->name, LONG_NAME);
	n.owner[1] = n.owner[1] == 'a' ? 'b' : 'a';
	assert_null(access_class(r, &n));
	assert_false(access_may_read(r, STR_LIT("tina@school.test"), &n));
	roster_free(r);
}

static void
test_students(void **state)
{
	struct roster *r = school();

	(void)state;
	assert_true(may_student(r, "bob@school.test", "bob"));
	assert_true(may_student(r, "mum@home.test", "bob"));
	assert_true(may_student(r, "tina@school.test", "bob"));
	assert_false(may_student(r, "tom@school.test", "bob"));
	assert_false(may_student(r, "ann@school.test", "bob"));
	assert_true(may_student(r, "tom@school.test", "ann"));
	assert_true(may_student(r, "tina@school.test", "ann"));
	assert_false(may_student(r, "mum@home.test", "ann"));
	assert_false(may_student(r, "", "cy"));
	assert_false(may_student(r, "tina@school.test", "dan"));
	roster_free(r);
}

/* ---- listing ---- */

static const struct reducer two = { .id = "z.two" }, one = { .id = "a.one" },
    hidden = { .id = "a.hidden", .internal = true };
static const struct reducer *const table[] = { &two, &hidden, &one, NULL };

static void
list_cb(void *arg, const struct node *n)
{
	struct buf *b = arg;
	char name[NODE_MAX + 1];
	struct node again;

	assert_int_equal(node_write(n, name), ERR_OK);
	assert_int_equal(node_parse(str_of(name), &again), ERR_OK);
	buf_printf(b, "%s\n", name);
}

static void
assert_list(const struct roster *r, const char *reader, const char *expected)
{
	struct buf b = BUF_INIT(0);

	access_nodes(r, str_of(reader), table, list_cb, &b);
	buf_byte(&b, '\0');
	assert_string_equal(b.data, expected);
	buf_free(&b);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
test_list(void **state)
{
	struct roster *r = school();
	char ann[PSEUDONYM_LEN + 1], bob[PSEUDONYM_LEN + 1], cy[PSEUDONYM_LEN + 1], *first, *last;
	char long_class[NODE_CLASS_MAX + 1], *list;
	const char *p[] = { ann, bob, cy };

	(void)state;
	ident_pseudonym(KEY, STR_LIT("ann"), ann);
	ident_pseudonym(KEY, STR_LIT("bob"), bob);
	ident_pseudonym(KEY, STR_LIT("cy"), cy);
	node_class_write(str_of(LONG_NAME), long_class);
	list = mem_printf("student/%s/z.two\nstudent/%s/a.one\n", bob, bob);
	assert_list(r, "mum@home.test", list);
	assert_list(r, "bob@school.test", list);
	mem_free(list);
	assert_list(r, "eve@school.test", "");
	first = strcmp(ann, cy) < 0 ? ann : cy;
	last = first == ann ? cy : ann;
	list = mem_printf("class/8a/z.two\nclass/8a/a.one\nclass/8a/_roster\n"
	    "class/%s/z.two\nclass/%s/a.one\nclass/%s/_roster\n"
	    "class/%%7Eempty/z.two\nclass/%%7Eempty/a.one\nclass/%%7Eempty/_roster\n"
	    "student/%s/z.two\nstudent/%s/a.one\nstudent/%s/z.two\nstudent/%s/a.one\n",
	    long_class, long_class, long_class, first, first, last, last);
	assert_list(r, "tom@school.test", list);
	mem_free(list);
	/* whom tina sees, in the order of their pseudonyms */
	qsort(p, COUNT(p), sizeof *p, by_text);
	list = mem_printf("class/7b/z.two\nclass/7b/a.one\nclass/7b/_roster\n"
	    "class/%s/z.two\nclass/%s/a.one\nclass/%s/_roster\n"
	    "student/%s/z.two\nstudent/%s/a.one\nstudent/%s/z.two\nstudent/%s/a.one\n"
	    "student/%s/z.two\nstudent/%s/a.one\n",
	    long_class, long_class, long_class, p[0], p[0], p[1], p[1], p[2], p[2]);
	assert_list(r, "tina@school.test", list);
	mem_free(list);
	roster_free(r);
}

static const struct reducer endless = { .id = "a."
	"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
	"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
	"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr" };

static void
test_list_passes_over_what_has_no_name(void **state)
{
	const struct reducer *const reducers[] = { &endless, &one, NULL };
	struct roster *r = school();
	struct buf b = BUF_INIT(0);
	char bob[PSEUDONYM_LEN + 1], *expected;

	(void)state;
	ident_pseudonym(KEY, STR_LIT("bob"), bob);
	access_nodes(r, STR_LIT("bob@school.test"), reducers, list_cb, &b);
	buf_byte(&b, '\0');
	expected = mem_printf("student/%s/a.one\n", bob);
	assert_string_equal(b.data, expected);
	mem_free(expected);
	buf_free(&b);
	roster_free(r);
}

/* ---- configured readers ---- */

/* The principal reads 7b and a class that is not there; the counsellor one
 * reducer of 7b and 8a. */
static struct conf *
readers(char *const *principal, size_t n)
{
	static char *counsel[] = { "7b", "8a" }, *reducers[] = { "count", "x.y" };
	static struct conf_reader_entry entries[2];
	static struct conf c = { .path = "t.conf", .readers = entries, .n_readers = 2 };

	entries[0] = (struct conf_reader_entry){ "Principal@SCHOOL.test",
		{ (char **)(uintptr_t)principal, n }, { NULL, 0 } };
	entries[1] = (struct conf_reader_entry){ "counsel@school.test", { counsel, 2 },
		{ reducers, 2 } };
	return &c;
}

static void
test_readers(void **state)
{
	static char *classes[] = { "7b", "9c" };
	struct roster *r = school();
	char *why = NULL, *ann = student_node("ann"), *cy = student_node("cy");
	struct node n;

	(void)state;
	log_set_level(LOG_ERROR);
	assert_int_equal(roster_grant(r, readers(classes, 2), &why), ERR_OK);
	assert_true(may(r, "principal@school.test", "class/7b/a.b"));
	assert_true(may(r, "principal@school.test", "class/7b/_roster"));
	assert_true(may(r, "principal@school.test", ann));
	assert_false(may(r, "principal@school.test", "class/8a/a.b"));
	assert_false(may(r, "principal@school.test", "class/9c/a.b"));
	assert_false(may(r, "principal@school.test", cy));
	assert_true(may(r, "counsel@school.test", "class/7b/t.count"));
	assert_true(may(r, "counsel@school.test", "class/8a/x.y"));
	assert_true(may(r, "counsel@school.test", "class/7b/_roster"));
	assert_false(may(r, "counsel@school.test", "class/7b/z.y"));
	assert_false(may(r, "counsel@school.test", "class/7b/a.b"));
	assert_false(may(r, "counsel@school.test", ann));
	/* as what */
	assert_int_equal(node_parse(str_of(ann), &n), ERR_OK);
	assert_int_equal(access_as(r, STR_LIT("principal@school.test"), &n), ROSTER_AS_READER);
	assert_int_equal(access_as(r, STR_LIT("tina@school.test"), &n), ROSTER_AS_TEACHER);
	assert_int_equal(access_as(r, STR_LIT("ann@school.test"), &n), ROSTER_AS_SELF);
	assert_int_equal(access_as(r, STR_LIT("eve@school.test"), &n), ROSTER_AS_NOBODY);
	mem_free(ann);
	mem_free(cy);
	roster_free(r);
}

static void
test_readers_are_no_students(void **state)
{
	static char *classes[] = { "7b" };
	struct roster *r = school();
	struct conf *c = readers(classes, 1);
	char *why = NULL;

	(void)state;
	c->readers[0].jid = "ANN@school.test";
	assert_int_equal(roster_grant(r, c, &why), ERR_INVALID);
	assert_string_equal(why, "t.conf: reader \"ann@school.test\" is a student of class \"7b\", "
	    "expected one or the other");
	mem_free(why);
	roster_free(r);
}

static void
test_readers_list(void **state)
{
	static char *classes[] = { "8a" };
	struct roster *r = school();
	char *why = NULL, ann[PSEUDONYM_LEN + 1], *list;

	(void)state;
	ident_pseudonym(KEY, STR_LIT("ann"), ann);
	assert_int_equal(roster_grant(r, readers(classes, 1), &why), ERR_OK);
	list = mem_printf("class/8a/z.two\nclass/8a/a.one\nclass/8a/_roster\n"
	    "student/%s/z.two\nstudent/%s/a.one\n", ann, ann);
	assert_list(r, "principal@school.test", list);
	mem_free(list);
	/* kept to other reducers */
	assert_list(r, "counsel@school.test", "class/7b/_roster\nclass/8a/_roster\n");
	roster_free(r);
}

/* ---- both ways round: every node, and everyone who may read it ---- */

static const char *const everybody[] = { "tina@school.test", "tom@school.test",
	"ann@school.test", "bob@school.test", "cy@school.test", "mum@home.test",
	"principal@school.test", "counsel@school.test", "eve@school.test" };

static size_t n_all_nodes;

struct asked {
	const char *jid;
	bool listed;
};

static void
reader_cb(void *arg, struct str jid)
{
	struct asked *a = arg;

	a->listed |= str_is(jid, a->jid);
}

static void
all_nodes_cb(void *arg, const struct node *n)
{
	n_all_nodes++;
	assert_true(access_exists(arg, n));
	for (size_t i = 0; i < sizeof everybody / sizeof *everybody; i++) {
		struct asked a = { everybody[i], false };

		access_readers(arg, n, reader_cb, &a);
		assert_int_equal(a.listed, access_may_read(arg, str_of(everybody[i]), n));
	}
}

static void
test_all_nodes_and_their_readers(void **state)
{
	static char *classes[] = { "7b", "8a" };
	static const struct reducer *const nothing[] = { NULL };
	struct roster *r = school();
	char *why = NULL;

	(void)state;
	assert_int_equal(roster_grant(r, readers(classes, 2), &why), ERR_OK);
	n_all_nodes = 0;
	access_all_nodes(r, table, all_nodes_cb, r);
	assert_int_equal(n_all_nodes, roster_classes(r) * 3 + roster_students(r) * 2);
	n_all_nodes = 0;
	access_all_nodes(r, nothing, all_nodes_cb, r);
	assert_int_equal(n_all_nodes, 0); /* a component without reducers has no _roster either */
	roster_free(r);
}

/* Of all nodes that may be read, which reducers there are of this kind. */
struct menu {
	enum node_kind kind;
	size_t n;
	const char *ids[8];
};

static void
menu_add(struct menu *m, const char *id)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->ids[i], id) == 0)
			return;
	assert_true(m->n < COUNT(m->ids));
	m->ids[m->n++] = id;
}

static void
menu_node_cb(void *arg, const struct node *n)
{
	struct menu *m = arg;

	for (const struct reducer *const *r = table; n->kind == m->kind && *r != NULL; r++)
		if (strcmp((*r)->id, n->reducer) == 0)
			menu_add(m, (*r)->id);
}

static void
menu_reducer_cb(void *arg, const char *reducer)
{
	menu_add(arg, reducer);
}

/* The menu is what access_nodes comes to. */
static void
test_menu(void **state)
{
	static const char *const people[] = { "tina@school.test", "tom@school.test", "ann@school.test",
		"bob@school.test", "mum@home.test", "principal@school.test", "counsel@school.test", "eve@school.test", "" };
	static char *classes[] = { "7b", "~empty" };
	struct roster *r = school();
	size_t some = 0;
	char *why = NULL;

	(void)state;
	assert_int_equal(roster_grant(r, readers(classes, 2), &why), ERR_OK);
	for (size_t i = 0; i < COUNT(people); i++)
		for (enum node_kind kind = NODE_CLASS; kind <= NODE_STUDENT; kind++) {
			struct menu want = { .kind = kind }, got = { .kind = kind };

			if (kind != NODE_CLASS && kind != NODE_STUDENT)
				continue;
			access_nodes(r, str_of(people[i]), table, menu_node_cb, &want);
			access_menu(r, str_of(people[i]), kind, table, menu_reducer_cb, &got);
			assert_int_equal(got.n, want.n);
			for (size_t k = 0; k < got.n; k++)
				assert_string_equal(got.ids[k], want.ids[k]);
			some += got.n;
		}
	assert_true(some > 8);
	roster_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_hashed_class),
		cmocka_unit_test(test_students),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_readers),
		cmocka_unit_test(test_readers_are_no_students),
		cmocka_unit_test(test_readers_list),
		cmocka_unit_test(test_list_passes_over_what_has_no_name),
		cmocka_unit_test(test_all_nodes_and_their_readers),
		cmocka_unit_test(test_menu),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
