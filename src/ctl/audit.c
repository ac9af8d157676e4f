/* SPDX-License-Identifier: MIT */
/* ctl/audit: who could see whose data at a time, and who did, from the audit
 * file alone. docs/audit.md has the lines. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/json.h"
#include "base/jsonw.h"
#include "base/map.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "flow/node.h"

/* Who may, or who attends: the members of its line, as it stood there. */
struct audit_held {
	char *since;
	unsigned begin; /* the picture it is part of */
	bool holds;
};

struct ctl_audit {
	const char *student, *reader, *at;
	bool events;
	struct json_doc *doc;
	struct map *may, *attends; /* members -> struct audit_held */
	unsigned begins;
	size_t bad; /* lines that are no JSON */
	struct buf text;
};

/* ---- lines ---- */

static bool
audit_parse(struct ctl_audit *a, struct str text, struct json *root)
{
	buf_clear(&a->text);
	buf_str(&a->text, text);
	memset(buf_room(&a->text, JSON_PADDING), 0, JSON_PADDING);
	return json_parse(a->doc, buf_view(&a->text), root) == ERR_OK;
}

static struct str
audit_member(struct json v, const char *key)
{
	struct str s;

	return json_get_str(v, key, &s) ? s : (struct str){ NULL, 0 };
}

/* What a line says beside time, kind and roster: from behind "what":"..", to
 * before ,"roster":. */
static struct str
audit_members(struct str line)
{
	const char *from = memmem(line.p, line.n, "\"what\":\"", 8), *to = NULL, *next;
	const char *end = line.p + line.n;

	from = from != NULL ? memchr(from, ',', (size_t)(end - from)) : NULL;
	for (next = from; next != NULL; next = memmem(next + 1, (size_t)(end - next - 1),
	    ",\"roster\":", 10))
		to = next;
	return from == NULL || to <= from ? (struct str){ NULL, 0 } :
	    (struct str){ from + 1, (size_t)(to - from - 1) };
}

/* What held before the daemon was restarted has held since then. */
static void
audit_hold(struct ctl_audit *a, struct map *m, struct str members, struct str t, bool holds)
{
	struct audit_held *h = map_get(m, members);

	if (h == NULL) {
		MEM_NEW(h);
		map_put(m, members, h);
	}
	if (holds && (!h->holds || h->begin + 1 < a->begins)) {
		mem_free(h->since);
		h->since = mem_str(t);
	}
	h->holds = holds;
	h->begin = a->begins;
}

static const struct audit_held *
audit_held(const struct ctl_audit *a, const struct map *m, struct str members)
{
	const struct audit_held *h = map_get(m, members);

	return h != NULL && h->holds && h->begin == a->begins ? h : NULL;
}

/* Whether the student attends the class, under the roster of that line. */
static const struct audit_held *
audit_attends(const struct ctl_audit *a, struct str class)
{
	struct buf key = BUF_INIT(0);
	struct jsonw w = jsonw_to(&key);
	const struct audit_held *h;

	jsonw_object(&w);
	jsonw_kz(&w, "student", a->student);
	jsonw_kstr(&w, "class", class);
	h = audit_held(a, a->attends, (struct str){ key.data + 1, key.len - 1 });
	buf_free(&key);
	return h;
}

static bool
audit_node_concerns(const struct ctl_audit *a, struct str name)
{
	char class[NODE_CLASS_MAX + 1];
	struct node n;

	if (node_parse(name, &n) != ERR_OK)
		return false;
	if (n.kind == NODE_STUDENT)
		return strcmp(n.owner, a->student) == 0;
	return node_class_read(n.owner, class) && audit_attends(a, str_of(class)) != NULL;
}

static void
audit_event(struct ctl_audit *a, struct json root, struct str line)
{
	struct str reader = audit_member(root, "reader");

	if (!a->events || (a->reader != NULL && !str_is(reader, a->reader)) ||
	    (a->student != NULL && !audit_node_concerns(a, audit_member(root, "node"))))
		return;
	printf("%.*s\n", STR_ARG(line));
}

/* false: beyond the time asked for. */
static bool
audit_line(struct ctl_audit *a, struct str line)
{
	struct str what, t, members = audit_members(line);
	struct json root;

	if (!audit_parse(a, line, &root)) {
		a->bad++;
		return true;
	}
	what = audit_member(root, "what");
	t = audit_member(root, "t");
	if (a->at != NULL && t.n > 0 && strncmp(t.p, a->at, t.n) > 0)
		return false;
	if (str_is(what, "begin"))
		a->begins++;
	else if (str_is(what, "may") || str_is(what, "may_not"))
		audit_hold(a, a->may, members, t, str_is(what, "may"));
	else if (str_is(what, "attends") || str_is(what, "left"))
		audit_hold(a, a->attends, members, t, str_is(what, "attends"));
	else
		audit_event(a, root, line);
	return true;
}

static int
audit_file(struct ctl_audit *a, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n = 0;

	if (f == NULL) {
		fprintf(stderr, "lecternctl: cannot read %s: %s\n", path, strerror(errno));
		return EX_NOINPUT;
	}
	while ((n = getline(&line, &cap, f)) > 0) {
		n -= line[n - 1] == '\n';
		if (n > 0 && !audit_line(a, (struct str){ line, (size_t)n }))
			break;
	}
	(free)(line); /* getline's */
	fclose(f);
	return EX_OK;
}

/* ---- the answer ---- */

static void
audit_print(struct str members, const char *since)
{
	printf("{%.*s,\"since\":\"%s\"}\n", STR_ARG(members), since);
}

static void
audit_print_may(struct ctl_audit *a, struct str members, const struct audit_held *h)
{
	char *text = mem_printf("{%.*s}", STR_ARG(members));
	const struct audit_held *attends = NULL;
	struct str student, class;
	struct json root;

	if (audit_parse(a, str_of(text), &root) &&
	    (a->reader == NULL || str_is(audit_member(root, "reader"), a->reader))) {
		student = audit_member(root, "student");
		class = audit_member(root, "class");
		if (a->student != NULL && class.n > 0)
			attends = audit_attends(a, class);
		if (a->student == NULL || str_is(student, a->student))
			audit_print(members, h->since);
		else if (attends != NULL)
			audit_print(members, strcmp(attends->since, h->since) > 0 ? attends->since :
			    h->since);
	}
	mem_free(text);
}

static void
audit_answer(struct ctl_audit *a)
{
	struct map_iter *sorted = map_sorted(a->may);

	for (size_t i = 0; i < map_size(a->may); i++) {
		const struct audit_held *h = audit_held(a, a->may, sorted[i].key);

		if (h != NULL)
			audit_print_may(a, sorted[i].key, h);
	}
	mem_free(sorted);
}

static void
audit_held_free(void *value)
{
	struct audit_held *h = value;

	mem_free(h->since);
	mem_free(h);
}

int
ctl_audit(int argc, char **argv)
{
	struct ctl_audit a = { .doc = json_doc_new(), .may = map_new(), .attends = map_new() };
	struct conf *c = NULL;
	int status = EX_OK;

	a.student = ctl_option(&argc, argv, "--student");
	a.reader = ctl_option(&argc, argv, "--reader");
	a.at = ctl_option(&argc, argv, "--at");
	a.events = ctl_flag(&argc, argv, "--events");
	if (argc == 1 || strcmp(argv[1], "-c") == 0)
		c = ctl_conf(&argc, argv);
	if (argc == 1)
		status = c != NULL ? audit_file(&a, c->audit_file) : EX_CONFIG;
	for (int i = 1; i < argc && status == EX_OK; i++)
		status = audit_file(&a, argv[i]);
	if (status == EX_OK && !a.events)
		audit_answer(&a);
	if (a.bad > 0)
		fprintf(stderr, "lecternctl: %zu lines are no JSON and were left out\n", a.bad);
	if (status == EX_OK && fflush(stdout) != 0)
		status = EX_IOERR;
	map_free(a.may, audit_held_free);
	map_free(a.attends, audit_held_free);
	buf_free(&a.text);
	json_doc_free(a.doc);
	conf_free(c);
	return status;
}
