/* SPDX-License-Identifier: MIT */
/* roster_files: the roster as the reference keeps it in files:
 *     courselist-TEACHER.json    the courses of a teacher, [{"id":..,"name":..}]
 *     courseroster-COURSE.json   the students of a course,
 *         [{"user_id":..,"profile":{"name":{..},"email_address":..,"external_ids":[..]}}]
 * (§16 of the protocol), or these arrays as "courses" and "students" of an object. */
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "state/folder.h"
#include "state/roster.h"

#define FILES_LIST "courselist-"
#define FILES_ROSTER "courseroster-"
#define FILES_END ".json"
#define FILES_TEXT_MAX ((size_t)64 << 20) /* bytes of one file */
#define FILES_ALIASES_MAX (ROSTER_ALIASES_MAX + 1) /* one too many is refused */

struct files {
	const struct roster_options *options;
	struct roster *roster;
	struct json_doc *doc;
	struct buf text;
	struct map *titles; /* of the courses of all lists */
	const char *name;   /* of the file being read */
	char **why;
};

/* What stands between prefix and ".json" in a file's name; false for another's. */
static bool
files_between(const char *name, const char *prefix, struct str *out)
{
	size_t n = strlen(name), first = strlen(prefix), last = sizeof FILES_END - 1;

	if (n <= first + last || memcmp(name, prefix, first) != 0 ||
	    strcmp(name + n - last, FILES_END) != 0)
		return false;
	*out = (struct str){ name + first, n - first - last };
	return true;
}

static bool
files_wants(const char *name)
{
	struct str any;

	return files_between(name, FILES_LIST, &any) || files_between(name, FILES_ROSTER, &any);
}

static bool
files_refuse(struct files *f, size_t entry, const char *wrong)
{
	if (entry > 0)
		*f->why = mem_printf("%s/%s: entry %zu: %s", f->options->file, f->name, entry, wrong);
	else
		*f->why = mem_printf("%s/%s: %s", f->options->file, f->name, wrong);
	return false;
}

/* The array of a file, alone or under its key. */
static bool
files_array(struct files *f, const struct folder *in, const char *key, struct json *out)
{
	size_t n;

	buf_clear(&f->text);
	if (!folder_text(in, f->name, FILES_TEXT_MAX, &f->text, f->why))
		return false;
	n = f->text.len;
	if (buf_room(&f->text, JSON_PADDING) == NULL ||
	    json_parse(f->doc, (struct str){ f->text.data, n }, out) != ERR_OK)
		return files_refuse(f, 0, "not one valid JSON text in UTF-8");
	if (json_type(*out) == JSON_OBJECT && !json_get(*out, key, out))
		return files_refuse(f, 0, "an object without the array, expected courses or students");
	if (json_type(*out) != JSON_ARRAY)
		return files_refuse(f, 0, "not an array of objects");
	return true;
}

/* A member that is text or, with a scratch for it, a number that is an id. */
static struct str
files_text(struct json v, const char *path, struct buf *scratch)
{
	struct json member;
	struct str s;
	int64_t number;

	if (!json_path(v, path, &member))
		return (struct str){ "", 0 };
	if (json_str(member, &s))
		return s;
	if (scratch != NULL && json_int(member, &number))
		buf_printf(scratch, "%lld", (long long)number);
	return scratch != NULL && scratch->len > 0 ? buf_view(scratch) : (struct str){ "", 0 };
}

/* ---- courses ---- */

static bool
files_course(struct files *f, size_t entry, struct str teacher, struct json course)
{
	struct buf id = BUF_INIT(0);
	bool address = memchr(teacher.p, '@', teacher.n) != NULL;
	struct roster_row row = {
		.role = ROSTER_TEACHER, .line = entry,
		.class = files_text(course, "id", &id), .title = files_text(course, "name", NULL),
		.person = teacher, .login = teacher,
	};
	const char *wrong = NULL;

	if (address)
		row.jid = row.email = teacher;
	if (row.class.n == 0)
		wrong = "no id of the course, expected a text or number";
	else if (!roster_has_jid(f->roster, &row))
		roster_note(f->roster, "%s: a teacher without a JID, who reads nothing; expected it in "
		    "the file's name, or the option domain", f->name);
	else
		roster_add(f->roster, &row, &wrong);
	if (wrong == NULL && map_get(f->titles, row.class) == NULL)
		map_put(f->titles, row.class, mem_str(row.title));
	buf_free(&id);
	return wrong == NULL || files_refuse(f, entry, wrong);
}

static bool
files_list(struct files *f, const struct folder *in, struct str teacher)
{
	struct json courses;
	struct json_iter it;

	if (!files_array(f, in, "courses", &courses))
		return false;
	it = json_each(courses);
	for (size_t entry = 1; json_next(&it); entry++)
		if (!files_course(f, entry, teacher, it.value))
			return false;
	return true;
}

/* ---- students ---- */

/* External ids are texts, or objects with an id. *odd counts others. */
static size_t
files_aliases(struct json row, struct str out[FILES_ALIASES_MAX], size_t *odd)
{
	struct json list;
	struct json_iter it;
	size_t n = 0;

	if (!json_path(row, "profile.external_ids", &list) &&
	    !json_path(row, "profile.externalIds", &list))
		return 0;
	it = json_each(list);
	while (n < FILES_ALIASES_MAX && json_next(&it))
		if (json_str(it.value, &out[n]) || json_get_str(it.value, "id", &out[n]))
			n += out[n].n > 0;
		else
			++*odd;
	return n;
}

static bool
files_student(struct files *f, size_t entry, struct str course, struct json v)
{
	struct buf id = BUF_INIT(0);
	struct str aliases[FILES_ALIASES_MAX];
	size_t odd = 0;
	struct roster_row row = {
		.role = ROSTER_STUDENT, .line = entry, .class = course,
		.title = str_of(map_get(f->titles, course)), .id = files_text(v, "user_id", &id),
		.given = files_text(v, "profile.name.given_name", NULL),
		.family = files_text(v, "profile.name.family_name", NULL),
		.name = files_text(v, "profile.name.full_name", NULL),
		.email = files_text(v, "profile.email_address", NULL),
		.aliases = aliases, .n_aliases = files_aliases(v, aliases, &odd),
	};
	const char *wrong;

	if (odd > 0)
		roster_note(f->roster, "%s: entry %zu: external ids that are no texts, by which the "
		    "student is not known", f->name, entry);
	if (row.email.n == 0)
		row.email = files_text(v, "profile.emailAddress", NULL);
	roster_add(f->roster, &row, &wrong);
	buf_free(&id);
	return wrong == NULL || files_refuse(f, entry, wrong);
}

static bool
files_roster(struct files *f, const struct folder *in, struct str course)
{
	struct json students;
	struct json_iter it;

	if (!files_array(f, in, "students", &students))
		return false;
	if (map_get(f->titles, course) == NULL)
		roster_note(f->roster, "%s: a course that no " FILES_LIST "*" FILES_END " names, so that "
		    "nobody teaches it", f->name);
	it = json_each(students);
	for (size_t entry = 1; json_next(&it); entry++)
		if (!files_student(f, entry, course, it.value))
			return false;
	return true;
}

/* ---- the folder ---- */

/* The lists come first, as their names are the first in order. */
static bool
files_read_cb(void *arg, const struct folder *in, char **why)
{
	struct files *f = arg;

	f->why = why;
	roster_free(f->roster);
	map_free(f->titles, mem_free);
	f->roster = roster_begin(f->options);
	f->titles = map_new();
	for (size_t i = 0; i < in->n; i++) {
		struct str of;

		f->name = in->file[i].name;
		if (files_between(f->name, FILES_LIST, &of) ? !files_list(f, in, of) :
		    files_between(f->name, FILES_ROSTER, &of) && !files_roster(f, in, of))
			return false;
	}
	return true;
}

static struct roster *
files_load(const struct roster_options *o, char **why)
{
	struct files f = {
		.options = o, .doc = json_doc_new(),
		.text = BUF_INIT(FILES_TEXT_MAX + JSON_PADDING), .titles = map_new(),
	};
	bool ok;

	*why = NULL;
	ok = folder_read(o->file, files_wants, files_read_cb, &f, why);
	json_doc_free(f.doc);
	buf_free(&f.text);
	map_free(f.titles, mem_free);
	if (ok)
		return roster_finish(f.roster, o, o->file, why);
	roster_free(f.roster);
	return NULL;
}

const struct roster_backend roster_files = { .name = "files", .load = files_load };
