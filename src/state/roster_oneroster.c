/* SPDX-License-Identifier: MIT */
/* roster_oneroster: the roster as a school's information system exports it, OneRoster
 * 1.1 CSV in bulk. Rows that lead nowhere are noted and left out; a file that cannot
 * be what it should be refuses the whole. */
#include "state/roster_oneroster.h"

#include <strings.h>
#include <time.h>

#include "base/mem.h"

#define ONEROSTER_ALIASES_MAX (ROSTER_ALIASES_MAX + 1) /* one too many is refused */

/* A user whom an enrollment or a student may name. */
struct oneroster_user {
	size_t line;
	bool student, teacher, guardian;
	bool enabled; /* may sign in */
	char *id, *login, *email, *jid, *given, *family;
	char *ids, *agents; /* cells as they stand */
	bool enrolled;
};

struct oneroster_class {
	char *title;
	enum oneroster_when when; /* of the best of its terms */
};

static const char oneroster_twice[] = "a sourcedId that another line has, too, expected one of each";

static const char *
oneroster_put(struct map *m, struct str id, void *value, void (*drop)(void *))
{
	if (id.n == 0 || id.n > IDENT_ID_MAX || map_get(m, id) != NULL) {
		drop(value);
		return id.n == 0 || id.n > IDENT_ID_MAX ?
		    "no valid sourcedId, expected one of 1 to 512 bytes" : oneroster_twice;
	}
	map_put(m, id, value);
	return NULL;
}

/* Notes a reference to what the export does not have. */
static void
oneroster_dangling(struct oneroster_table *t, const char *column, const char *file)
{
	roster_note(t->o->roster, "%s:%zu: %s names what %s does not have", t->name, t->csv.line,
	    column, file);
}

/* ---- manifest ---- */

static const char *
oneroster_manifest_row(struct oneroster_table *t)
{
	struct str name = oneroster_cell(t, 0), value = oneroster_cell(t, 1);

	if (str_is(name, "oneroster.version") && !str_is(value, "1.1") && !str_is(value, "1.0"))
		return "another version of OneRoster, expected 1.1";
	for (size_t i = ONEROSTER_ORGS; i < ONEROSTER_FILES; i++) {
		const char *file = oneroster_file_name((enum oneroster_file)i);
		bool there = t->o->texts->there[i];

		if (!str_starts(name, "file.") || name.n != strlen(file) + 1 ||
		    memcmp(name.p + 5, file, name.n - 5) != 0)
			continue;
		if (!str_is(value, "bulk") && !str_is(value, "absent"))
			return "a file that is not complete (delta), expected bulk or absent";
		if (str_is(value, "bulk") != there)
			return there ? "a file that is there and called absent, expected one or the other" :
			    "a file that is not there, expected the whole export";
	}
	return NULL;
}

/* ---- orgs, courses, sessions ---- */

static const char *
oneroster_org_row(struct oneroster_table *t)
{
	return oneroster_put(t->o->orgs, oneroster_cell(t, 0), mem_str(oneroster_cell(t, 2)), mem_free);
}

static const char *
oneroster_course_row(struct oneroster_table *t)
{
	return oneroster_put(t->o->courses, oneroster_cell(t, 0), mem_str(oneroster_cell(t, 2)),
	    mem_free);
}

static const char *
oneroster_session_row(struct oneroster_table *t)
{
	enum oneroster_when *when;
	const char *wrong;

	MEM_NEW(when);
	wrong = oneroster_when(t->o, oneroster_cell(t, 2), oneroster_cell(t, 3), when);
	if (wrong == NULL)
		return oneroster_put(t->o->sessions, oneroster_cell(t, 0), when, mem_free);
	mem_free(when);
	return wrong;
}

/* ---- classes ---- */

static void
oneroster_class_free(void *value)
{
	struct oneroster_class *c = value;

	mem_free(c->title);
	mem_free(c);
}

/* A class without a known term has no end that we could know of; one with a term that
 * is still to come is not over. */
static enum oneroster_when
oneroster_class_when(struct oneroster_table *t, struct str terms)
{
	size_t known = 0, over = 0;
	struct str one;

	while (oneroster_each(&terms, &one)) {
		const enum oneroster_when *when = map_get(t->o->sessions, one);

		if (when == NULL && t->o->texts->there[ONEROSTER_SESSIONS])
			oneroster_dangling(t, "termSourcedIds", "academicSessions.csv");
		if (when != NULL && *when == ONEROSTER_NOW)
			return ONEROSTER_NOW;
		known += when != NULL;
		over += when != NULL && *when == ONEROSTER_OVER;
	}
	return known == 0 ? ONEROSTER_NOW : over == known ? ONEROSTER_OVER : ONEROSTER_LATER;
}

enum { CLASS_ID, CLASS_STATUS, CLASS_TITLE, CLASS_COURSE, CLASS_SCHOOL, CLASS_TERMS };

static const char *
oneroster_class_row(struct oneroster_table *t)
{
	const struct oneroster *o = t->o;
	struct str course = oneroster_cell(t, CLASS_COURSE), school = oneroster_cell(t, CLASS_SCHOOL);
	struct str title = oneroster_cell(t, CLASS_TITLE);
	struct oneroster_class *c;

	if (school.n > 0 && o->texts->there[ONEROSTER_ORGS] && map_get(o->orgs, school) == NULL)
		oneroster_dangling(t, "schoolSourcedId", "orgs.csv");
	if (course.n > 0 && o->texts->there[ONEROSTER_COURSES] && map_get(o->courses, course) == NULL)
		oneroster_dangling(t, "courseSourcedId", "courses.csv");
	if (title.n == 0 && course.n > 0)
		title = str_of(map_get(o->courses, course));
	MEM_NEW(c);
	c->title = mem_str(title);
	c->when = oneroster_class_when(t, oneroster_cell(t, CLASS_TERMS));
	return oneroster_put(o->classes, oneroster_cell(t, CLASS_ID), c, oneroster_class_free);
}

/* ---- users ---- */

enum { USER_ID, USER_STATUS, USER_ROLE, USER_GIVEN, USER_FAMILY, USER_LOGIN, USER_EMAIL,
	USER_IDS, USER_AGENTS, USER_ENABLED, USER_ORGS, USER_JID };

static void
oneroster_user_free(void *value)
{
	struct oneroster_user *u = value;

	mem_free(u->id);
	mem_free(u->login);
	mem_free(u->email);
	mem_free(u->jid);
	mem_free(u->given);
	mem_free(u->family);
	mem_free(u->ids);
	mem_free(u->agents);
	mem_free(u);
}

/* Roles of OneRoster 1.1 §4.13.9; the others neither teach nor attend. */
static const char *
oneroster_user_role(struct oneroster_user *u, struct str role)
{
	static const char *const others[] = { "proctor" };

	u->student = str_is(role, "student");
	u->teacher = str_is(role, "teacher") || str_is(role, "administrator") ||
	    str_is(role, "aide");
	u->guardian = str_is(role, "guardian") || str_is(role, "parent") ||
	    str_is(role, "relative");
	return u->student || u->teacher || u->guardian || str_is(role, others[0]) ? NULL :
	    "a role that is not known, expected one of OneRoster 1.1 such as student or teacher";
}

static void
oneroster_check_orgs(struct oneroster_table *t)
{
	struct str list = oneroster_cell(t, USER_ORGS), one;

	while (t->o->texts->there[ONEROSTER_ORGS] && oneroster_each(&list, &one))
		if (map_get(t->o->orgs, one) == NULL)
			oneroster_dangling(t, "orgSourcedIds", "orgs.csv");
}

static const char *
oneroster_user_row(struct oneroster_table *t)
{
	struct oneroster_user *u;
	const char *wrong;

	MEM_NEW(u);
	u->line = t->csv.line;
	u->id = mem_str(oneroster_cell(t, USER_ID));
	u->given = mem_str(oneroster_cell(t, USER_GIVEN));
	u->family = mem_str(oneroster_cell(t, USER_FAMILY));
	u->email = mem_str(oneroster_cell(t, USER_EMAIL));
	u->login = mem_str(oneroster_cell(t, USER_LOGIN));
	u->jid = mem_str(oneroster_cell(t, USER_JID));
	u->enabled = !str_is(oneroster_cell(t, USER_ENABLED), "false");
	u->ids = mem_str(oneroster_cell(t, USER_IDS));
	u->agents = mem_str(oneroster_cell(t, USER_AGENTS));
	wrong = oneroster_user_role(u, oneroster_cell(t, USER_ROLE));
	if (wrong != NULL) {
		oneroster_user_free(u);
		return wrong;
	}
	oneroster_check_orgs(t);
	return oneroster_put(t->o->users, oneroster_cell(t, USER_ID), u, oneroster_user_free);
}

/* ---- rows of the roster ---- */

/* From "{Google:117},{LDAP:anna}" the alias "gc-117", as identities of a Chromebook
 * are written (§3 of the protocol), and "anna". *odd counts what is not of that form. */
static size_t
oneroster_aliases(struct str ids, struct str login, struct buf *scratch,
    struct str out[ONEROSTER_ALIASES_MAX + 1], size_t *odd)
{
	size_t at[ONEROSTER_ALIASES_MAX + 1], n = 0;
	struct str one;

	while (n < ONEROSTER_ALIASES_MAX && oneroster_each(&ids, &one)) {
		const char *colon = memchr(one.p, ':', one.n);
		size_t type;

		if (one.n < 2 || one.p[0] != '{' || one.p[one.n - 1] != '}' || colon == NULL) {
			++*odd;
			continue;
		}
		type = (size_t)(colon - one.p) - 1;
		at[n++] = scratch->len;
		if (type >= 6 && strncasecmp(one.p + 1, "google", 6) == 0)
			buf_z(scratch, "gc-");
		buf_add(scratch, colon + 1, one.n - type - 3);
	}
	if (login.n > 0) {
		at[n++] = scratch->len;
		buf_str(scratch, login);
	}
	for (size_t i = 0; i < n; i++)
		out[i] = (struct str){ scratch->data + at[i],
			(i + 1 < n ? at[i + 1] : scratch->len) - at[i] };
	return n;
}

static const char *
oneroster_wrong_user(struct oneroster *o, const struct oneroster_user *u, const char *wrong)
{
	if (wrong != NULL)
		*o->why = mem_printf("%s: users.csv:%zu: %s", o->path, u->line, wrong);
	return wrong;
}

static struct roster_row
oneroster_person(const struct oneroster_user *u)
{
	return (struct roster_row){
		.person = str_of(u->id), .jid = str_of(u->jid), .login = str_of(u->login),
		.email = str_of(u->email), .given = str_of(u->given), .family = str_of(u->family),
		.no_login = !u->enabled, .line = u->line,
	};
}

/* Whether the row would have a JID: without one nobody reads. */
static bool
oneroster_add(struct oneroster *o, const struct oneroster_user *u, struct roster_row *row)
{
	const char *wrong;

	if (row->role != ROSTER_STUDENT && !roster_has_jid(o->roster, row)) {
		roster_note(o->roster, "users.csv:%zu: a %s without a JID, who reads nothing; expected "
		    "the option domain, a column metadata.jid or an e-mail address in that domain",
		    u->line, roster_role_name(row->role));
		return true;
	}
	roster_add(o->roster, row, &wrong);
	return oneroster_wrong_user(o, u, wrong) == NULL;
}

static bool
oneroster_add_guardians(struct oneroster *o, const struct oneroster_user *u)
{
	struct str list = str_of(u->agents), one;

	while (oneroster_each(&list, &one)) {
		const struct oneroster_user *g = map_get(o->users, one);
		struct roster_row row;

		if (g == NULL || !g->guardian) {
			roster_note(o->roster, "users.csv:%zu: agentSourcedIds names %s", u->line,
			    g == NULL ? "what users.csv does not have" : "who is no guardian");
			continue;
		}
		row = oneroster_person(g);
		row.role = ROSTER_GUARDIAN;
		row.id = str_of(u->id);
		if (!oneroster_add(o, g, &row))
			return false;
	}
	return true;
}

static bool
oneroster_add_student(struct oneroster *o, struct oneroster_user *u, struct roster_row *row)
{
	struct str aliases[ONEROSTER_ALIASES_MAX + 1];
	struct buf scratch = BUF_INIT(0);
	size_t odd = 0;
	bool ok;

	row->role = ROSTER_STUDENT;
	row->id = row->person;
	row->n_aliases = oneroster_aliases(str_of(u->ids), row->login, &scratch, aliases, &odd);
	if (odd > 0 && !u->enrolled)
		roster_note(o->roster, "users.csv:%zu: userIds that are no list of {type:id}, by which "
		    "the student is not known", u->line);
	row->aliases = aliases;
	ok = oneroster_add(o, u, row) && (u->enrolled || oneroster_add_guardians(o, u));
	u->enrolled = true;
	buf_free(&scratch);
	return ok;
}

/* ---- enrollments ---- */

enum { ENROLLMENT_ID, ENROLLMENT_STATUS, ENROLLMENT_CLASS, ENROLLMENT_USER, ENROLLMENT_ROLE,
	ENROLLMENT_BEGIN, ENROLLMENT_END };

/* Whether the enrollment leads anywhere, and what else there is to say of it. */
static bool
oneroster_leads(struct oneroster_table *t, const struct oneroster_class *c,
    const struct oneroster_user *u)
{
	struct str role = oneroster_cell(t, ENROLLMENT_ROLE);

	if (c == NULL)
		oneroster_dangling(t, "classSourcedId", "classes.csv");
	if (u == NULL)
		oneroster_dangling(t, "userSourcedId", "users.csv");
	if (c == NULL || u == NULL)
		return false;
	if (str_is(role, "student") ? u->student : str_is(role, "teacher") && u->teacher)
		return true;
	roster_note(t->o->roster, "%s:%zu: a role that the user does not have in users.csv, or that "
	    "neither teaches nor attends", t->name, t->csv.line);
	return false;
}

static const char *
oneroster_enrollment_row(struct oneroster_table *t)
{
	struct str class = oneroster_cell(t, ENROLLMENT_CLASS);
	const struct oneroster_class *c = map_get(t->o->classes, class);
	struct oneroster_user *u = map_get(t->o->users, oneroster_cell(t, ENROLLMENT_USER));
	struct roster_row row;
	enum oneroster_when when;
	const char *wrong;
	bool ok;

	wrong = oneroster_when(t->o, oneroster_cell(t, ENROLLMENT_BEGIN),
	    oneroster_cell(t, ENROLLMENT_END), &when);
	if (wrong == NULL && when == ONEROSTER_NOW)
		when = oneroster_leads(t, c, u) ? c->when : ONEROSTER_LATER;
	t->o->ended += wrong == NULL && when == ONEROSTER_OVER;
	if (wrong != NULL || when != ONEROSTER_NOW)
		return wrong;
	row = oneroster_person(u);
	row.class = class;
	row.title = str_of(c->title);
	row.role = ROSTER_TEACHER;
	ok = u->student ? oneroster_add_student(t->o, u, &row) : oneroster_add(t->o, u, &row);
	return ok ? NULL : ONEROSTER_SAID;
}

/* ---- the export ---- */

/* In this order: what a file refers to was read before it. */
static const struct oneroster_shape oneroster_shapes[] = {
	{ ONEROSTER_MANIFEST, { "propertyName", "value", NULL }, 2, CSV_NO_COLUMN,
	    oneroster_manifest_row },
	{ ONEROSTER_ORGS, { "sourcedId", "status", "name", NULL }, 1, 1, oneroster_org_row },
	{ ONEROSTER_SESSIONS, { "sourcedId", "status", "startDate", "endDate", NULL }, 4, 1,
	    oneroster_session_row },
	{ ONEROSTER_COURSES, { "sourcedId", "status", "title", NULL }, 3, 1, oneroster_course_row },
	{ ONEROSTER_CLASSES, { "sourcedId", "status", "title", "courseSourcedId", "schoolSourcedId",
	    "termSourcedIds", NULL }, 3, CLASS_STATUS, oneroster_class_row },
	{ ONEROSTER_USERS, { "sourcedId", "status", "role", "givenName", "familyName", "username",
	    "email", "userIds", "agentSourcedIds", "enabledUser", "orgSourcedIds", "metadata.jid",
	    NULL }, 5, USER_STATUS, oneroster_user_row },
	{ ONEROSTER_ENROLLMENTS, { "sourcedId", "status", "classSourcedId", "userSourcedId", "role",
	    "beginDate", "endDate", NULL }, 5, ENROLLMENT_STATUS, oneroster_enrollment_row },
};

static bool
oneroster_complete(struct oneroster *o)
{
	static const enum oneroster_file needed[] = { ONEROSTER_MANIFEST, ONEROSTER_CLASSES,
		ONEROSTER_USERS, ONEROSTER_ENROLLMENTS };

	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
		if (!o->texts->there[needed[i]]) {
			*o->why = mem_printf("%s: no %s in it, expected a whole export of OneRoster 1.1 CSV",
			    o->path, oneroster_file_name(needed[i]));
			return false;
		}
	}
	return true;
}

static bool
oneroster_tables(struct oneroster *o)
{
	for (size_t i = 0; i < sizeof oneroster_shapes / sizeof *oneroster_shapes; i++)
		if (!oneroster_table(o, &oneroster_shapes[i]))
			return false;
	return true;
}

static void
oneroster_today(int64_t now_s, char out[ONEROSTER_DATE_LEN + 1])
{
	time_t now = now_s != 0 ? (time_t)now_s : time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	if (strftime(out, ONEROSTER_DATE_LEN + 1, "%Y-%m-%d", &tm) == 0)
		memcpy(out, "9999-99-99", ONEROSTER_DATE_LEN + 1); /* beyond the year 9999 */
}

/* When all enrollments are over, as in the holidays, nobody is in the roster, and what
 * was seen yesterday is not to be seen any more. No enrollments at all are another thing. */
static struct roster *
oneroster_finish(struct oneroster *o, const struct roster_options *options)
{
	struct roster_options over = *options;

	over.allow_empty |= o->ended > 0;
	if (o->ended > 0 && roster_classes(o->roster) == 0)
		roster_note(o->roster, "all enrollments are over (%zu) or lead nowhere, so that nobody reads "
		    "anything", o->ended);
	return roster_finish(o->roster, &over, options->file, o->why);
}

static struct roster *
oneroster_load(const struct roster_options *options, char **why)
{
	struct oneroster_texts texts;
	struct oneroster o = {
		.path = options->file, .texts = &texts, .roster = roster_begin(options),
		.orgs = map_new(), .courses = map_new(), .sessions = map_new(), .classes = map_new(),
		.users = map_new(), .why = why,
	};
	bool ok;

	oneroster_today(options->now_s, o.today);
	ok = oneroster_read(options->file, &texts, why) && oneroster_complete(&o) &&
	    oneroster_tables(&o);
	oneroster_texts_free(&texts);
	map_free(o.orgs, mem_free);
	map_free(o.courses, mem_free);
	map_free(o.sessions, mem_free);
	map_free(o.classes, oneroster_class_free);
	map_free(o.users, oneroster_user_free);
	if (ok)
		return oneroster_finish(&o, options);
	roster_free(o.roster);
	return NULL;
}

/* ---- a new day ---- */

#define ONEROSTER_LOOK_MS (UINT64_C(3600) * 1000)

struct roster_watch {
	struct loop_timer *timer;
	loop_cb *changed;
	void *arg;
	char day[ONEROSTER_DATE_LEN + 1]; /* of the last look */
};

static void
oneroster_look_cb(void *arg)
{
	struct roster_watch *w = arg;
	char now[ONEROSTER_DATE_LEN + 1];

	oneroster_today(0, now);
	if (strcmp(now, w->day) == 0)
		return;
	memcpy(w->day, now, sizeof now);
	w->changed(w->arg);
}

/* Enrollments begin and end with a day. */
static struct roster_watch *
oneroster_watch(struct loop *l, const struct roster_options *o, loop_cb *changed, void *arg,
    char **why)
{
	struct roster_watch *w;

	(void)o;
	(void)why;
	MEM_NEW(w);
	w->changed = changed;
	w->arg = arg;
	oneroster_today(0, w->day);
	w->timer = loop_timer_new(l, oneroster_look_cb, w);
	loop_timer_every(w->timer, ONEROSTER_LOOK_MS);
	return w;
}

static void
oneroster_close(struct roster_watch *w)
{
	loop_timer_free(w->timer);
	mem_free(w);
}

const struct roster_backend roster_oneroster = {
	.name = "oneroster", .load = oneroster_load, .watch = oneroster_watch,
	.close = oneroster_close,
};
