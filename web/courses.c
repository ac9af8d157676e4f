/* SPDX-License-Identifier: MIT */
/* courses: the addresses under /webapi/: which classes somebody has, who is in
 * them, what there is to look at. Shapes of the Learning Observer, §16 of its
 * protocol. Access is asked for as of the nodes that tell the same. */
#include <stdio.h>

#include "base/mem.h"
#include "flow/access.h"
#include "flow/hub.h"
#include "web/web_priv.h"

#define COURSES_BODY_MAX ((size_t)64 << 20) /* bytes of one answer */
#define COURSES_ROWS_PER_ASK 1000 /* students of an answer that counts for one request more */

static void
courses_refused(struct request *r, struct str node)
{
	hub_refused(r->web->hub, WEB_DOOR, str_of(login_user(r->login)), node);
	request_refuse(r, 403, "You have no class of this name.");
}

/* ---- classes ---- */

static void
courses_class(struct jsonw *out, const struct roster_class *c, const char *id)
{
	static const char *const empty[] = { "description_heading", "alternate_link",
		"teacher_group_email", "course_group_email" };

	jsonw_object(out);
	jsonw_kz(out, "id", id);
	jsonw_kz(out, "name", c->title != NULL ? c->title : c->name);
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
		jsonw_kz(out, empty[i], "");
	jsonw_key(out, "teacher_folder");
	jsonw_object(out);
	jsonw_kz(out, "id", "");
	jsonw_kz(out, "title", "");
	jsonw_kz(out, "alternate_link", "");
	jsonw_object_end(out);
	jsonw_kz(out, "calendar_id", "NA");
	jsonw_object_end(out);
}

/* A class is somebody's who may know who is in it. */
void
courses_list(struct request *r, struct str body)
{
	const struct roster *roster = hub_roster(r->web->hub);
	struct buf json = BUF_INIT(COURSES_BODY_MAX);
	struct jsonw out = jsonw_to(&json);
	char id[NODE_CLASS_MAX + 1];

	(void)body;
	jsonw_array(&out);
	for (size_t i = 0; i < roster_classes(roster); i++) {
		const struct roster_class *c = roster_class_at(roster, i);

		if (!access_sees_class(c, str_of(login_user(r->login))))
			continue;
		node_class_write(str_of(c->name), id);
		courses_class(&out, c, id);
	}
	jsonw_array_end(&out);
	request_answer_json(r, &json);
}

/* ---- who is in one ---- */

/* Both spellings of clients: the reference writes either. */
static void
courses_both(struct jsonw *out, const char *snake, const char *camel, const char *value)
{
	jsonw_kz(out, snake, value);
	jsonw_kz(out, camel, value);
}

/* Cut at its last space where the roster has only the whole name. */
static void
courses_name(struct jsonw *out, const struct roster_student *s)
{
	const char *cut = strrchr(s->name, ' ');
	size_t n = cut != NULL ? (size_t)(cut - s->name) : strlen(s->name);

	jsonw_key(out, "name");
	jsonw_object(out);
	if (s->given != NULL || s->family != NULL) {
		jsonw_kz(out, "given_name", s->given != NULL ? s->given : "");
		jsonw_kz(out, "family_name", s->family != NULL ? s->family : "");
	} else {
		jsonw_kstr(out, "given_name", (struct str){ s->name, n });
		jsonw_kz(out, "family_name", cut != NULL ? cut + 1 : "");
	}
	jsonw_kz(out, "full_name", s->name);
	jsonw_object_end(out);
}

static void
courses_student(struct jsonw *out, const struct roster_student *s)
{
	jsonw_object(out);
	jsonw_kz(out, "user_id", s->id);
	jsonw_kz(out, "pseudonym", s->pseudonym); /* of the items of the feed */
	jsonw_key(out, "profile");
	jsonw_object(out);
	courses_name(out, s);
	courses_both(out, "email_address", "emailAddress", s->email != NULL ? s->email : "");
	courses_both(out, "photo_url", "photoUrl", "/auth/default-avatar.svg");
	jsonw_key(out, "external_ids");
	jsonw_array(out);
	jsonw_array_end(out);
	jsonw_object_end(out);
	jsonw_object_end(out);
}

static void
courses_rows(struct request *r, struct str node, const struct roster_class *c)
{
	struct buf json = BUF_INIT(COURSES_BODY_MAX);
	struct jsonw out = jsonw_to(&json);

	if (!login_may_ask(r->login, c->n_students / COURSES_ROWS_PER_ASK)) {
		request_refuse(r, 429, "Too many requests; try again in a minute.");
		return;
	}
	jsonw_array(&out);
	for (size_t i = 0; i < c->n_students; i++)
		courses_student(&out, c->students[i]);
	jsonw_array_end(&out);
	hub_shown(r->web->hub, WEB_DOOR, str_of(login_user(r->login)), node, c->n_students);
	request_answer_json(r, &json);
}

/* Of a class that there is not the same is said as of another's. */
void
courses_roster(struct request *r, struct str body)
{
	struct str id = r->rest;
	char name[NODE_MAX + 1];
	struct node n;
	int length;

	(void)body;
	if (id.n > 0 && id.p[id.n - 1] == '/')
		id.n--;
	length = snprintf(name, sizeof name, "class/%.*s/_roster", STR_ARG(id));
	if (length < 0 || (size_t)length >= sizeof name)
		courses_refused(r, STR_LIT(""));
	else if (hub_may_read(r->web->hub, str_of(name), str_of(login_user(r->login)), &n) != ERR_OK)
		courses_refused(r, str_of(name));
	else
		courses_rows(r, str_of(name), access_class(hub_roster(r->web->hub), &n));
}

/* ---- what there is to look at ---- */

struct courses_menu {
	struct jsonw out;
	const char *node; /* before the reducer */
};

static void
courses_menu_cb(void *arg, const char *reducer)
{
	struct courses_menu *m = arg;
	char *node = mem_printf("%s%s", m->node, reducer);

	jsonw_object(&m->out);
	jsonw_kz(&m->out, "name", reducer);
	jsonw_kz(&m->out, "url", "/wsapi/feed");
	jsonw_kz(&m->out, "node", node);
	jsonw_object_end(&m->out);
	mem_free(node);
}

/* One entry for each reducer that the user may see of a class, or of a student. */
static void
courses_menu(struct request *r, enum node_kind kind, const char *node)
{
	struct buf json = BUF_INIT(COURSES_BODY_MAX);
	struct courses_menu m = { jsonw_to(&json), node };

	jsonw_array(&m.out);
	access_menu(hub_roster(r->web->hub), str_of(login_user(r->login)), kind,
	    engine_reducers(hub_engine(r->web->hub)), courses_menu_cb, &m);
	jsonw_array_end(&m.out);
	request_answer_json(r, &json);
}

void
courses_dashboards(struct request *r, struct str body)
{
	(void)body;
	courses_menu(r, NODE_CLASS, "class/{course_id}/");
}

void
courses_student_dashboards(struct request *r, struct str body)
{
	(void)body;
	courses_menu(r, NODE_STUDENT, "student/{pseudonym}/");
}
