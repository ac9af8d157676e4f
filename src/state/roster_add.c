/* SPDX-License-Identifier: MIT */
/* roster_add: rows into a roster, each checked against all before it. */
#include <stdio.h>

#include "state/roster_priv.h"
#include "state/textfile.h"

/* ---- people ---- */

static struct roster_class *
roster_class_of(struct roster *r, struct str name)
{
	struct roster_class *c = map_get(r->classes, name);

	if (c != NULL)
		return c;
	MEM_NEW(c);
	c->name = mem_str(name);
	map_put(r->classes, name, c);
	return c;
}

/* Keeps the first that is said; false when another contradicts it. */
static bool
roster_say(char **at, struct str text)
{
	if (text.n == 0)
		return true;
	if (*at == NULL || **at == '\0') {
		mem_free(*at);
		*at = mem_str(text);
	}
	return str_is(text, *at);
}

/* A name to show from what the row says of it. */
static char *
roster_full_name(const struct roster_row *row)
{
	if (row->name.n > 0 || row->given.n + row->family.n == 0)
		return mem_str(row->name);
	return mem_printf("%.*s%s%.*s", STR_ARG(row->given),
	    row->given.n > 0 && row->family.n > 0 ? " " : "", STR_ARG(row->family));
}

static const char *
roster_why(struct roster *r, const char *fmt, size_t line)
{
	char where[48] = "in another row";

	if (line > 0)
		snprintf(where, sizeof where, "of line %zu", line);
	snprintf(r->why, sizeof r->why, fmt, where);
	return r->why;
}

/* Makes the student known by one more name. */
static const char *
roster_know(struct roster *r, struct roster_student *s, struct str any, const char *wrong)
{
	struct buf scratch = BUF_INIT(0);
	struct str key = roster_known_as(any, &scratch);
	const struct roster_student *other = map_get(r->students, key);

	if (other == NULL || other == s)
		other = map_put(r->names, key, s);
	buf_free(&scratch);
	return other == NULL || other == s ? NULL : roster_why(r, wrong, other->line);
}

/* Another student who is known by this id, as an alias or as an id in which the
 * case of letters does not count. */
static const struct roster_student *
roster_id_taken(const struct roster *r, struct str id)
{
	struct buf scratch = BUF_INIT(0);
	const struct roster_student *other = map_get(r->names, roster_known_as(id, &scratch));

	buf_free(&scratch);
	return r->ids_as_shown ? NULL : other;
}

/* The student of the row's id; NULL with *wrong when that names another. */
static struct roster_student *
roster_student_of(struct roster *r, const struct roster_row *row, const char **wrong)
{
	struct roster_student *s = map_get(r->students, row->id);
	const struct roster_student *other = s == NULL ? roster_id_taken(r, row->id) : NULL;

	*wrong = NULL;
	if (s != NULL)
		return s;
	if (other != NULL) {
		*wrong = roster_why(r, "the student %s is known by this id, too, expected one "
		    "student for each", other->line);
		return NULL;
	}
	MEM_NEW(s);
	s->id = mem_str(row->id);
	s->name = mem_strdup("");
	s->line = row->line;
	ident_pseudonym(r->key, row->id, s->pseudonym);
	map_put(r->students, row->id, s);
	map_put(r->pseudonyms, str_of(s->pseudonym), s);
	if (!r->ids_as_shown && memchr(row->id.p, '@', row->id.n) != NULL)
		*wrong = roster_know(r, s, row->id, ""); /* nobody else is known by it */
	return s;
}

static void
roster_add_reader(struct roster_student *s, struct str jid)
{
	roster_grow(&s->readers, s->n_readers);
	s->readers[s->n_readers++] = mem_str(jid);
}

/* The teacher or guardian with the row's JID, and what the row adds to what is
 * known of them. */
static struct roster_person *
roster_person_of(struct roster *r, const struct roster_row *row, struct str jid)
{
	struct roster_person *p = map_get(r->people, jid);
	char *name = roster_full_name(row);
	bool same;

	if (p == NULL) {
		MEM_NEW(p);
		p->jid = mem_str(jid);
		p->name = mem_strdup("");
		map_put(r->people, jid, p);
	}
	same = roster_say(&p->name, str_of(name));
	same &= roster_say(&p->given, row->given);
	same &= roster_say(&p->family, row->family);
	same &= roster_say(&p->email, row->email);
	same &= roster_say(&p->id, row->person);
	if (!same)
		roster_note(r, "line %zu: says something else of the person with its jid than a row "
		    "before, which counts", row->line);
	mem_free(name);
	return p;
}

/* ---- nobody teaches a class that they attend ---- */

static bool
roster_attends(const struct roster_student *s, const struct roster_class *c)
{
	for (size_t i = 0; s != NULL && i < s->n_classes; i++)
		if (s->classes[i] == c)
			return true;
	return false;
}

static bool
roster_teaches(const struct roster_person *p, const struct roster_class *c)
{
	for (size_t i = 0; p != NULL && i < p->n_classes; i++)
		if (p->classes[i] == c)
			return true;
	return false;
}

/* A student of whom the JID comes in a later row than a class. */
static bool
roster_teaches_own(const struct roster *r, const struct roster_student *s)
{
	const struct roster_person *p = map_get(r->people, str_of(s->jid));

	for (size_t i = 0; p != NULL && i < s->n_classes; i++)
		if (roster_teaches(p, s->classes[i]))
			return true;
	return false;
}

/* ---- rows ---- */

static const char *
roster_set_title(struct roster_class *c, const struct roster_row *row)
{
	return roster_say(&c->title, row->title) ? NULL :
	    "the class has another title in another row, expected the same or none";
}

static const char *
roster_add_teacher(struct roster *r, const struct roster_row *row, struct str jid)
{
	struct roster_person *p;
	struct roster_class *c;

	if (row->class.n == 0)
		return "a teacher without a class, expected the name of one";
	if (jid.n == 0)
		return "a teacher without a jid, expected local@domain";
	c = roster_class_of(r, row->class);
	if (roster_attends(roster_by_jid(r, jid), c))
		return "the jid is a student of this class in another row, expected one or the other";
	p = roster_person_of(r, row, jid);
	roster_grow(&c->teachers, c->n_teachers);
	c->teachers[c->n_teachers++] = mem_str(jid);
	roster_grow(&p->classes, p->n_classes);
	p->classes[p->n_classes++] = c;
	return roster_set_title(c, row);
}

static const char roster_both[] = "the jid is a teacher of this class in another row, expected "
    "one or the other";

/* A student's own address; two students cannot share one, nor one have two, as
 * a slip of the pen would then open one's states to the other. */
static const char *
roster_add_own_jid(struct roster *r, struct roster_student *s, struct str jid)
{
	if (s->jid != NULL)
		return str_is(jid, s->jid) ? NULL :
		    "the student has another jid in another row, expected the same";
	s->jid = mem_str(jid);
	if (roster_teaches_own(r, s))
		return roster_both;
	roster_add_reader(s, jid);
	return roster_know(r, s, jid, "the jid belongs to another student, too, the one %s, expected "
	    "one of each");
}

static const char *
roster_set_email(struct roster *r, struct roster_student *s, struct str email)
{
	if (email.n == 0)
		return NULL;
	if (memchr(email.p, '@', email.n) == NULL)
		return "not an e-mail address, expected local@domain";
	if (!roster_say(&s->email, email))
		return "the student has another e-mail address in another row, expected the same or none";
	return roster_know(r, s, email, "the e-mail address belongs to another student, too, the one "
	    "%s, expected one student for each");
}

static const char *
roster_add_alias(struct roster *r, struct roster_student *s, struct str alias)
{
	if (alias.n == 0 || str_is(alias, s->id))
		return NULL;
	if (str_starts(alias, IDENT_UNVERIFIED))
		return "an alias that begins with " IDENT_UNVERIFIED ", expected one that a proof can show";
	for (size_t i = 0; i < s->n_aliases; i++)
		if (str_is(alias, s->aliases[i]))
			return NULL;
	if (s->n_aliases == ROSTER_ALIASES_MAX)
		return "a student with more than 64 aliases";
	roster_grow(&s->aliases, s->n_aliases);
	s->aliases[s->n_aliases++] = mem_str(alias);
	return roster_know(r, s, alias, "the alias belongs to another student, too, the one %s, "
	    "expected one student for each");
}

static const char *
roster_describe(struct roster *r, struct roster_student *s, const struct roster_row *row)
{
	char *name = roster_full_name(row);
	const char *wrong = NULL;

	if (!roster_say(&s->name, str_of(name)) || !roster_say(&s->given, row->given) ||
	    !roster_say(&s->family, row->family))
		wrong = "the student has another name in another row, expected the same or none";
	mem_free(name);
	if (wrong == NULL)
		wrong = roster_set_email(r, s, row->email);
	for (size_t i = 0; wrong == NULL && i < row->n_aliases; i++)
		wrong = roster_add_alias(r, s, row->aliases[i]);
	return wrong;
}

static const char *
roster_add_student(struct roster *r, const struct roster_row *row, struct str jid)
{
	struct roster_student *s;
	struct roster_class *c;
	const char *wrong = NULL;

	if (row->class.n == 0)
		return "a student without a class, expected the name of one";
	if (row->id.n == 0 || row->id.n > IDENT_ID_MAX)
		return "no valid id, expected the student's of 1 to 512 bytes";
	s = roster_student_of(r, row, &wrong);
	if (wrong == NULL && jid.n > 0)
		wrong = roster_add_own_jid(r, s, jid);
	if (wrong == NULL)
		wrong = roster_describe(r, s, row);
	if (wrong != NULL)
		return wrong;
	c = roster_class_of(r, row->class);
	roster_grow(&c->students, c->n_students);
	c->students[c->n_students++] = s;
	roster_grow(&s->classes, s->n_classes);
	s->classes[s->n_classes++] = c;
	if (s->jid != NULL && roster_teaches(map_get(r->people, str_of(s->jid)), c))
		return roster_both;
	return roster_set_title(c, row);
}

static const char *
roster_add_guardian(struct roster *r, const struct roster_row *row, struct str jid)
{
	struct roster_student *s;
	struct roster_person *p;
	const char *wrong;

	if (row->id.n == 0 || row->id.n > IDENT_ID_MAX)
		return "no valid id, expected the one of the guardian's student";
	if (jid.n == 0)
		return "a guardian without a jid, expected local@domain";
	s = roster_student_of(r, row, &wrong);
	if (wrong != NULL)
		return wrong;
	roster_add_reader(s, jid);
	p = roster_person_of(r, row, jid);
	roster_grow(&p->wards, p->n_wards);
	p->wards[p->n_wards++] = s;
	return NULL;
}

static const char *
roster_add_row(struct roster *r, const struct roster_row *row, struct str jid)
{
	switch (row->role) {
	case ROSTER_TEACHER:
		return roster_add_teacher(r, row, jid);
	case ROSTER_STUDENT:
		return roster_add_student(r, row, jid);
	case ROSTER_GUARDIAN:
		return roster_add_guardian(r, row, jid);
	}
	return "not a role, expected teacher, student or guardian";
}

static const char *
roster_text_wrong(struct str s)
{
	if (s.n > ROSTER_TEXT_MAX)
		return "a text of more than 1024 bytes";
	if (textfile_bad_utf8(s) < s.n)
		return "a text that is not UTF-8";
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		/* U+0080-U+009F are C2 80 - C2 9F */
		if (c < 0x20 || c == 0x7f ||
		    (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0))
			return "a control character, expected plain text";
	}
	return NULL;
}

static const char *
roster_row_wrong(const struct roster_row *row)
{
	const struct str texts[] = { row->class, row->title, row->id, row->person, row->jid, row->login,
		row->email, row->name, row->given, row->family };
	const char *wrong = NULL;

	for (size_t i = 0; wrong == NULL && i < sizeof texts / sizeof *texts; i++)
		wrong = roster_text_wrong(texts[i]);
	for (size_t i = 0; wrong == NULL && i < row->n_aliases; i++)
		wrong = roster_text_wrong(row->aliases[i]);
	return wrong;
}

static bool
roster_in_domain(struct str jid, const char *domain)
{
	size_t n = strlen(domain);

	return jid.n > n + 1 && jid.p[jid.n - n - 1] == '@' &&
	    memcmp(jid.p + jid.n - n, domain, n) == 0;
}

/* Appends the JID that the domain gives the row, if it does. */
static void
roster_made_jid(const struct roster *r, const struct roster_row *row, struct buf *out)
{
	struct buf made = BUF_INIT(0), jid = BUF_INIT(0);
	bool login = row->login.n > 0 && memchr(row->login.p, '@', row->login.n) == NULL;

	if (r->domain == NULL || row->no_login || (!login && row->email.n == 0))
		return;
	if (login)
		buf_printf(&made, "%.*s@%s", STR_ARG(row->login), r->domain);
	/* neither a user name nor an e-mail address need be a JID's */
	if (roster_jid(login ? buf_view(&made) : row->email, &jid) &&
	    roster_in_domain(buf_view(&jid), r->domain))
		buf_str(out, buf_view(&jid));
	buf_free(&made);
	buf_free(&jid);
}

/* The row's JID in canonical form; false when it has one that is none. */
static bool
roster_row_jid(const struct roster *r, const struct roster_row *row, struct buf *out)
{
	if (row->jid.n > 0 && !row->no_login)
		return roster_jid(row->jid, out);
	roster_made_jid(r, row, out);
	return true;
}

bool
roster_has_jid(const struct roster *r, const struct roster_row *row)
{
	struct buf jid = BUF_INIT(0);
	bool has;

	roster_made_jid(r, row, &jid);
	has = (row->jid.n > 0 && !row->no_login) || jid.len > 0;
	buf_free(&jid);
	return has;
}

enum err
roster_add(struct roster *r, const struct roster_row *row, const char **why)
{
	struct buf jid = BUF_INIT(0);

	*why = roster_row_wrong(row);
	if (*why == NULL && ++r->rows > ROSTER_ROWS_MAX)
		*why = "more rows than a roster may have, expected at most 1000000";
	if (*why == NULL && !roster_row_jid(r, row, &jid))
		*why = "the jid is not the address of a person, expected local@domain";
	if (*why == NULL)
		*why = roster_add_row(r, row, buf_view(&jid));
	buf_free(&jid);
	return *why == NULL ? ERR_OK : ERR_INVALID;
}
