/* SPDX-License-Identifier: MIT */
/* ctl/roster: the roster looked at, made and filled by an administrator, with the same
 * code by which the daemon reads it. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/crypt.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "state/roster.h"

static const char ctl_roster_usage[] =
    "usage: lecternctl roster check  [-c FILE] [--backend NAME] [PATH]\n"
    "       lecternctl roster show   [-c FILE] [--backend NAME] [PATH]\n"
    "                                [--class NAME | --student ID, JID, e-mail or alias]\n"
    "       lecternctl roster init   [-c FILE]\n"
    "       lecternctl roster import [-c FILE] [--backend NAME] PATH\n\n"
    "check and show read the roster of the configuration, or the one at PATH (or --file PATH), a\n"
    "CSV file unless a backend is named. init makes the configured database, import puts the roster at PATH\n"
    "into it in place of what it holds.\n";

struct ctl_roster {
	const struct conf *conf;
	const char *key;
	const char *backend, *file; /* named, or NULL */
	const char *class, *student;
};

static int
ctl_roster_failed(char *why)
{
	fprintf(stderr, "lecternctl: %s\n", why);
	mem_free(why);
	return EX_DATAERR;
}

/* The roster that the command is about; NULL after having said why. */
static struct roster *
ctl_roster_load(const struct ctl_roster *c)
{
	struct roster_options o = roster_options_of(c->conf, str_of(c->key));
	const char *backend = c->backend;
	struct roster *r;
	char *why = NULL;

	if (c->file != NULL)
		o.file = c->file;
	if (backend == NULL)
		backend = c->file != NULL ? "csv" : c->conf->roster_backend;
	else if (c->file == NULL && strcmp(backend, c->conf->roster_backend) != 0)
		o.file = "";
	r = roster_load(backend, &o, &why);
	if (r == NULL)
		ctl_roster_failed(why);
	return r;
}

/* ---- check ---- */

static size_t
ctl_roster_teacherless(const struct roster *r)
{
	size_t n = 0;

	for (size_t i = 0; i < roster_classes(r); i++)
		n += roster_class_at(r, i)->n_teachers == 0;
	return n;
}

static int
ctl_roster_check(const struct ctl_roster *c)
{
	struct roster *r = ctl_roster_load(c);
	size_t alone;

	if (r == NULL)
		return EX_DATAERR;
	alone = ctl_roster_teacherless(r);
	printf("%.*s", STR_ARG(roster_notes(r)));
	if (alone > 0)
		printf("classes without a teacher, whom nobody can see: %zu\n", alone);
	printf("classes %zu, students %zu, teachers and guardians %zu, notes %zu\n",
	    roster_classes(r), roster_students(r), roster_people(r), roster_noted(r));
	roster_free(r);
	return EX_OK;
}

/* ---- show ---- */

static void
ctl_roster_show_student(struct jsonw *w, const struct roster_student *s)
{
	jsonw_object(w);
	jsonw_kz(w, "id", s->id);
	jsonw_kz(w, "pseudonym", s->pseudonym);
	jsonw_kz(w, "name", s->name);
	jsonw_kz(w, "email", s->email);
	jsonw_kz(w, "jid", s->jid);
	jsonw_key(w, "aliases");
	jsonw_array(w);
	for (size_t i = 0; i < s->n_aliases; i++)
		jsonw_str(w, str_of(s->aliases[i]));
	jsonw_array_end(w);
	jsonw_key(w, "classes");
	jsonw_array(w);
	for (size_t i = 0; i < s->n_classes; i++)
		jsonw_str(w, str_of(s->classes[i]->name));
	jsonw_array_end(w);
	jsonw_object_end(w);
}

static void
ctl_roster_show_class(struct jsonw *w, const struct roster_class *c)
{
	jsonw_object(w);
	jsonw_kz(w, "class", c->name);
	jsonw_kz(w, "title", c->title != NULL ? c->title : c->name);
	jsonw_key(w, "teachers");
	jsonw_array(w);
	for (size_t i = 0; i < c->n_teachers; i++)
		jsonw_str(w, str_of(c->teachers[i]));
	jsonw_array_end(w);
	jsonw_kuint(w, "students", c->n_students);
	jsonw_object_end(w);
}

static void
ctl_roster_line(struct buf *out)
{
	buf_byte(out, '\n');
}

static int
ctl_roster_show_classes(const struct roster *r, struct buf *out)
{
	for (size_t i = 0; i < roster_classes(r); i++) {
		struct jsonw w = jsonw_to(out);

		ctl_roster_show_class(&w, roster_class_at(r, i));
		ctl_roster_line(out);
	}
	return EX_OK;
}

static int
ctl_roster_show_members(const struct roster *r, const char *name, struct buf *out)
{
	const struct roster_class *c = roster_class(r, str_of(name));

	if (c == NULL)
		return ctl_roster_failed(mem_printf("the roster has no class \"%s\"", name));
	for (size_t i = 0; i < c->n_students; i++) {
		struct jsonw w = jsonw_to(out);

		ctl_roster_show_student(&w, c->students[i]);
		ctl_roster_line(out);
	}
	return EX_OK;
}

static int
ctl_roster_show_one(const struct roster *r, const char *any, struct buf *out)
{
	const struct roster_student *s = roster_identify(r, str_of(any));
	struct jsonw w = jsonw_to(out);

	if (s == NULL)
		s = roster_by_pseudonym(r, str_of(any));
	if (s == NULL)
		return ctl_roster_failed(mem_printf("the roster knows no student by \"%s\"", any));
	ctl_roster_show_student(&w, s);
	ctl_roster_line(out);
	return EX_OK;
}

static int
ctl_roster_show(const struct ctl_roster *c)
{
	struct roster *r = ctl_roster_load(c);
	struct buf out = BUF_INIT(0);
	int status;

	if (r == NULL)
		return EX_DATAERR;
	if (c->student != NULL)
		status = ctl_roster_show_one(r, c->student, &out);
	else if (c->class != NULL)
		status = ctl_roster_show_members(r, c->class, &out);
	else
		status = ctl_roster_show_classes(r, &out);
	if (status == EX_OK)
		status = ctl_print(buf_view(&out));
	buf_free(&out);
	roster_free(r);
	return status;
}

/* ---- init and import ---- */

/* The configured backend, if it is a database that can be written. */
static const struct roster_backend *
ctl_roster_database(const struct ctl_roster *c)
{
	char *why = NULL;
	const struct roster_backend *b = roster_backend(c->conf->roster_backend, &why);

	if (b != NULL && (b->init == NULL || b->save == NULL)) {
		why = mem_printf("the configured roster is \"%s\", expected a database such as sqlite or "
		    "postgres", b->name);
		b = NULL;
	}
	if (b == NULL)
		ctl_roster_failed(why);
	return b;
}

static int
ctl_roster_init(const struct ctl_roster *c)
{
	const struct roster_backend *b = ctl_roster_database(c);
	struct roster_options o = roster_options_of(c->conf, str_of(c->key));
	char *why = NULL;

	if (b == NULL)
		return EX_CONFIG;
	return b->init(&o, &why) == ERR_OK ? EX_OK : ctl_roster_failed(why);
}

static int
ctl_roster_import(const struct ctl_roster *c)
{
	const struct roster_backend *b = ctl_roster_database(c);
	struct roster_options o = roster_options_of(c->conf, str_of(c->key));
	struct roster *r;
	char *why = NULL;
	int status = EX_OK;

	if (b == NULL)
		return EX_CONFIG;
	if (c->backend == NULL && c->file == NULL) {
		fputs(ctl_roster_usage, stderr);
		return EX_USAGE;
	}
	r = ctl_roster_load(c);
	if (r == NULL)
		return EX_DATAERR;
	if (b->save(&o, r, &why) != ERR_OK)
		status = ctl_roster_failed(why);
	else
		printf("imported: classes %zu, students %zu, teachers and guardians %zu, notes %zu\n",
		    roster_classes(r), roster_students(r), roster_people(r), roster_noted(r));
	roster_free(r);
	return status;
}

/* ---- the verb ---- */

static const struct {
	const char *name;
	int (*run)(const struct ctl_roster *c);
} ctl_roster_verbs[] = {
	{ "check", ctl_roster_check },
	{ "show", ctl_roster_show },
	{ "init", ctl_roster_init },
	{ "import", ctl_roster_import },
};

static int
ctl_roster_with_key(struct ctl_roster *c, int (*run)(const struct ctl_roster *c))
{
	char *why = NULL, *key = crypt_secret_read(c->conf->key_file, &why);
	int status;

	if (key == NULL) {
		ctl_roster_failed(why);
		return EX_CONFIG;
	}
	c->key = key;
	status = run(c);
	mem_wipe(key, strlen(key));
	mem_free(key);
	return status;
}

int
ctl_roster(int argc, char **argv)
{
	struct ctl_roster c = {
		.backend = ctl_option(&argc, argv, "--backend"),
		.file = ctl_option(&argc, argv, "--file"),
		.class = ctl_option(&argc, argv, "--class"),
		.student = ctl_option(&argc, argv, "--student"),
	};
	struct conf *conf = NULL;
	int status = EX_USAGE;

	for (size_t i = 0; argc > 1 && i < sizeof ctl_roster_verbs / sizeof *ctl_roster_verbs; i++) {
		if (strcmp(argv[1], ctl_roster_verbs[i].name) != 0)
			continue;
		conf = ctl_conf(&argc, argv);
		if (conf == NULL)
			return EX_CONFIG;
		c.conf = conf;
		if (argc == 3 && c.file == NULL)
			c.file = argv[2];
		if (argc == 2 || c.file == argv[2])
			status = ctl_roster_with_key(&c, ctl_roster_verbs[i].run);
	}
	if (status == EX_USAGE)
		fputs(ctl_roster_usage, stderr);
	conf_free(conf);
	return status;
}
