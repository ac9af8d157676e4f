/* SPDX-License-Identifier: MIT */
/* What the tests of the roster's file backends share: folders whose content is
 * replaced at once, and rows written as each backend wants them. */
#ifndef LECTERN_TESTS_ROSTER_SOURCE_H
#define LECTERN_TESTS_ROSTER_SOURCE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/jsonw.h"
#include "base/map.h"
#include "base/mem.h"
#include "tests/contract/roster_contract.h"

#define KEY STR_LIT("0123456789abcdefghijklmnopqrstuv")
#define COUNT(a) (sizeof(a) / sizeof *(a))

static char source_root[] = "/tmp/test_roster_source.XXXXXX";
static unsigned source_n; /* versions written */

static inline int
source_setup(void **state)
{
	(void)state;
	return mkdtemp(source_root) == NULL ? -1 : 0;
}

static inline int
source_teardown(void **state)
{
	char *command = mem_printf("rm -rf '%s'", source_root);
	int rc = system(command);

	(void)state;
	mem_free(command);
	return rc;
}

static inline void
source_file(const char *folder, const char *name, struct str text)
{
	char *path = mem_printf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	assert_int_equal(fclose(f), 0);
	mem_free(path);
}

/* A new folder for one version; mem_free it. */
static inline char *
source_version(void)
{
	char *path = mem_printf("%s/v%u", source_root, source_n++);

	assert_int_equal(mkdir(path, 0700), 0);
	return path;
}

/* Lets `at` lead to the version, in place of what it led to before, and takes the
 * name of the version over. */
static inline void
source_switch(const char *at, char *version)
{
	char *link = mem_printf("%s.link", version);

	assert_int_equal(symlink(version, link), 0);
	assert_int_equal(rename(link, at), 0);
	mem_free(link);
	mem_free(version);
}

/* Cuts the file to half its length. */
static inline void
source_cut(const char *folder, const char *name)
{
	char *path = mem_printf("%s/%s", folder, name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
	mem_free(path);
}

static inline void
source_place(struct roster_options *o)
{
	o->file = mem_printf("%s/current%u", source_root, source_n++);
}

static inline void
source_drop(struct roster_options *o)
{
	(void)unlink(o->file);
	mem_free((char *)(uintptr_t)o->file);
}

/* ---- rows as CSV ---- */

static inline void
source_cell(struct buf *out, struct str s, char after)
{
	buf_byte(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			buf_byte(out, '"');
		buf_byte(out, s.p[i]);
	}
	buf_byte(out, '"');
	buf_byte(out, after);
}

static inline void
source_csv_row(struct buf *out, const struct roster_row *r)
{
	source_cell(out, r->class, ',');
	source_cell(out, str_of(roster_role_name(r->role)), ',');
	source_cell(out, r->id, ',');
	source_cell(out, r->jid, ',');
	source_cell(out, r->name, ',');
	source_cell(out, r->title, ',');
	source_cell(out, r->email, ',');
	source_cell(out, r->given, ',');
	source_cell(out, r->family, ',');
	source_cell(out, r->n_aliases > 0 ? r->aliases[0] : STR_LIT(""), '\n');
}

/* ---- rows as OneRoster 1.1 ---- */

#define SOURCE_MANIFEST "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\n" \
	"file.academicSessions,absent\nfile.classes,bulk\nfile.courses,absent\n" \
	"file.enrollments,bulk\nfile.orgs,bulk\nfile.users,bulk\nsource.systemName,\"A, \"\"B\"\"\"\n"
#define SOURCE_ORGS "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\n" \
	"o1,,,\"The school\nby the lake\",school,,\n"
#define SOURCE_CLASSES "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode," \
	"classType,location,schoolSourcedId,termSourcedIds,subjects,subjectCodes,periods\n"
#define SOURCE_USERS "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username," \
	"userIds,givenName,familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades," \
	"password,metadata.jid\n"
#define SOURCE_ENROLLMENTS "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId," \
	"userSourcedId,role,primary,beginDate,endDate\n"

struct source_oneroster {
	struct buf classes, users, enrollments;
	struct map *seen; /* class or user -> anything */
	size_t n;
};

static inline bool
source_first(struct source_oneroster *s, char kind, struct str id)
{
	char *key = mem_printf("%c%.*s", kind, STR_ARG(id));
	bool first = map_put(s->seen, str_of(key), s) == NULL;

	mem_free(key);
	return first;
}

static inline struct str
source_person(const struct roster_row *r)
{
	return r->role == ROSTER_STUDENT ? r->id : r->person.n > 0 ? r->person : r->jid;
}

static inline void
source_user(struct source_oneroster *s, const struct roster_row *r, struct str agents)
{
	struct buf ids = BUF_INIT(0);

	if (!source_first(s, 'u', source_person(r)))
		return;
	if (r->n_aliases > 0)
		buf_printf(&ids, "{LMS:%.*s}", STR_ARG(r->aliases[0]));
	source_cell(&s->users, source_person(r), ',');
	buf_printf(&s->users, ",,true,o1,%s,,", roster_role_name(r->role));
	source_cell(&s->users, buf_view(&ids), ',');
	source_cell(&s->users, r->given, ',');
	source_cell(&s->users, r->family, ',');
	buf_z(&s->users, ",,");
	source_cell(&s->users, r->email, ',');
	buf_z(&s->users, ",,");
	source_cell(&s->users, agents, ',');
	buf_z(&s->users, ",,");
	source_cell(&s->users, r->jid, '\n');
	buf_free(&ids);
}

static inline void
source_enrol(struct source_oneroster *s, const struct roster_row *r)
{
	if (r->role == ROSTER_GUARDIAN)
		return;
	if (source_first(s, 'c', r->class)) {
		source_cell(&s->classes, r->class, ',');
		buf_z(&s->classes, ",,");
		source_cell(&s->classes, r->title, ',');
		buf_z(&s->classes, ",,,,,o1,,,,\n");
	}
	buf_printf(&s->enrollments, "e%zu,,,", s->n++);
	source_cell(&s->enrollments, r->class, ',');
	buf_z(&s->enrollments, "o1,");
	source_cell(&s->enrollments, source_person(r), ',');
	buf_printf(&s->enrollments, "%s,,,\n", roster_role_name(r->role));
}

/* The guardian of a student, if there is a row of one. */
static inline struct str
source_agent(const struct roster_row *rows, size_t n, struct str id)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].role == ROSTER_GUARDIAN && str_eq(rows[i].id, id))
			return rows[i].person;
	return STR_LIT("");
}

static inline void
source_oneroster(const char *folder, const struct roster_row *rows, size_t n)
{
	struct source_oneroster s = { .classes = BUF_INIT(0), .users = BUF_INIT(0),
		.enrollments = BUF_INIT(0), .seen = map_new() };

	buf_z(&s.classes, SOURCE_CLASSES);
	buf_z(&s.users, SOURCE_USERS);
	buf_z(&s.enrollments, SOURCE_ENROLLMENTS);
	for (size_t i = 0; i < n; i++) {
		source_user(&s, &rows[i], rows[i].role == ROSTER_STUDENT ?
		    source_agent(rows, n, rows[i].id) : STR_LIT(""));
		source_enrol(&s, &rows[i]);
	}
	source_file(folder, "manifest.csv", STR_LIT("\xef\xbb\xbf" SOURCE_MANIFEST));
	source_file(folder, "orgs.csv", STR_LIT(SOURCE_ORGS));
	source_file(folder, "classes.csv", buf_view(&s.classes));
	source_file(folder, "users.csv", buf_view(&s.users));
	source_file(folder, "enrollments.csv", buf_view(&s.enrollments));
	buf_free(&s.classes);
	buf_free(&s.users);
	buf_free(&s.enrollments);
	map_free(s.seen, NULL);
}

/* ---- rows as the reference's files ---- */

static inline void
source_files_student(struct jsonw *w, const struct roster_row *r)
{
	jsonw_object(w);
	jsonw_key(w, "user_id");
	jsonw_str(w, r->id);
	jsonw_key(w, "profile");
	jsonw_object(w);
	jsonw_key(w, "name");
	jsonw_object(w);
	jsonw_key(w, "given_name");
	jsonw_str(w, r->given);
	jsonw_key(w, "family_name");
	jsonw_str(w, r->family);
	jsonw_key(w, "full_name");
	jsonw_str(w, r->name);
	jsonw_object_end(w);
	jsonw_key(w, r->n_aliases > 0 ? "emailAddress" : "email_address");
	jsonw_str(w, r->email);
	jsonw_key(w, "external_ids");
	jsonw_array(w);
	for (size_t i = 0; i < r->n_aliases; i++)
		jsonw_str(w, r->aliases[i]);
	jsonw_array_end(w);
	jsonw_object_end(w);
	jsonw_object_end(w);
}

/* One file for what is common to row i and all later ones of its kind; nothing when an
 * earlier row was. */
static inline void
source_files_of(const char *folder, const struct roster_row *rows, size_t n, size_t i)
{
	bool list = rows[i].role == ROSTER_TEACHER;
	struct buf text = BUF_INIT(0);
	struct jsonw w = jsonw_to(&text);
	char *name = list ? mem_printf("courselist-%.*s.json", STR_ARG(rows[i].jid)) :
	    mem_printf("courseroster-%.*s.json", STR_ARG(rows[i].class));

	jsonw_array(&w);
	for (size_t k = 0; k < n; k++) {
		if (rows[k].role != rows[i].role || !str_eq(list ? rows[k].jid : rows[k].class,
		    list ? rows[i].jid : rows[i].class))
			continue;
		if (!list) {
			source_files_student(&w, &rows[k]);
			continue;
		}
		jsonw_object(&w);
		jsonw_key(&w, "id");
		jsonw_str(&w, rows[k].class);
		jsonw_key(&w, "name");
		jsonw_str(&w, rows[k].title);
		jsonw_object_end(&w);
	}
	jsonw_array_end(&w);
	source_file(folder, name, buf_view(&text));
	buf_free(&text);
	mem_free(name);
}

static inline void
source_files(const char *folder, const struct roster_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].role != ROSTER_GUARDIAN)
			source_files_of(folder, rows, n, i);
}

/* ---- the sources of the contract: a CSV file, folders of OneRoster and of the reference ---- */

static inline bool
source_csv_write(const struct roster_options *o, const struct roster_row *rows, size_t n)
{
	char *version = source_version();
	char *path = mem_printf("%s/roster.csv", version);
	struct buf text = BUF_INIT(0);

	buf_z(&text, "class,role,id,jid,name,title,email,given,family,alias\n");
	for (size_t i = 0; i < n; i++)
		source_csv_row(&text, &rows[i]);
	source_file(version, "roster.csv", buf_view(&text));
	assert_int_equal(rename(path, o->file), 0);
	mem_free(path);
	mem_free(version);
	buf_free(&text);
	return true;
}

static inline bool
source_csv_spoil(const struct roster_options *o, enum roster_spoil how)
{
	struct stat st;

	if (how == ROSTER_GONE)
		return unlink(o->file) == 0;
	assert_int_equal(stat(o->file, &st), 0);
	return truncate(o->file, st.st_size - 2) == 0;
}

static inline bool
source_oneroster_write(const struct roster_options *o, const struct roster_row *rows, size_t n)
{
	char *version = source_version();

	source_oneroster(version, rows, n);
	source_switch(o->file, version);
	return true;
}

static inline bool
source_oneroster_spoil(const struct roster_options *o, enum roster_spoil how)
{
	if (how == ROSTER_GONE)
		return unlink(o->file) == 0;
	source_cut(o->file, "enrollments.csv");
	return true;
}

/* JSON has no bytes that are not text, and the file's name is the JID. */
static inline bool
source_files_write(const struct roster_options *o, const struct roster_row *rows, size_t n)
{
	char *version;

	for (size_t i = 0; i < n; i++) {
		struct str jid = rows[i].jid;

		if (jid.n > 200 || (jid.n > 0 && (memchr(jid.p, '/', jid.n) != NULL ||
		    memchr(jid.p, '@', jid.n) == NULL)))
			return false; /* no file has such a name, or it is a user's */
	}
	version = source_version();
	source_files(version, rows, n);
	source_switch(o->file, version);
	return true;
}

static inline bool
source_files_spoil(const struct roster_options *o, enum roster_spoil how)
{
	if (how == ROSTER_GONE)
		return unlink(o->file) == 0;
	source_cut(o->file, "courseroster-7b.json");
	return true;
}

#define SOURCE_CONTRACTS                                                                           \
	{ "csv", source_place, source_drop, source_csv_write, source_csv_spoil, true, true, true }, \
	{ "oneroster", source_place, source_drop, source_oneroster_write, source_oneroster_spoil, true, \
	    true, true },                                                                          \
	{ "files", source_place, source_drop, source_files_write, source_files_spoil, false, false, true }

#endif
