/* SPDX-License-Identifier: MIT */
/* roster: who teaches and who attends which class. An immutable snapshot,
 * loaded whole or not at all; a reload makes a new one. Backends are const
 * descriptors in one table (roster.c).
 *
 * JIDs are kept canonical (base/jid.h) and compared byte by byte; e-mail addresses
 * with ASCII letters in lower case. */
#ifndef LECTERN_STATE_ROSTER_H
#define LECTERN_STATE_ROSTER_H

#include "base/conf.h"
#include "base/jid.h"
#include "base/loop.h"
#include "state/ident.h"

struct roster;
struct roster_class;

/* A configured reader: may read classes without teaching them. */
struct roster_grant {
	char *jid;
	char **reducers; /* none: all; "component.name" or the name alone */
	size_t n_reducers;
};

struct roster_student {
	char *id;                       /* canonical safe_user_id */
	char *name;                     /* display name, may be "" */
	char *given, *family, *email;   /* or NULL */
	char **aliases;                 /* what else the student is known by */
	size_t n_aliases;
	size_t line;                    /* of the first row that names the student */
	char pseudonym[PSEUDONYM_LEN + 1];
	struct roster_class **classes;  /* sorted by name */
	size_t n_classes;
	char *jid;                      /* the student's own, or NULL */
	char **readers;                 /* JIDs of the student and guardians */
	size_t n_readers;
};

/* A teacher or guardian, of whom there is one for each JID. */
struct roster_person {
	char *jid;
	char *id;                           /* in the source, or NULL */
	char *name;                         /* may be "" */
	char *given, *family, *email;       /* or NULL */
	const struct roster_class **classes; /* taught, sorted by name */
	size_t n_classes;
	const struct roster_student **wards; /* sorted by id */
	size_t n_wards;
};

struct roster_class {
	char *name;                       /* the one in nodes */
	char *title;                      /* what people call it, or NULL: its name */
	struct roster_student **students; /* sorted by pseudonym */
	size_t n_students;
	char **teachers;                  /* JIDs, sorted */
	size_t n_teachers;
	const struct roster_grant **grants;
	size_t n_grants;
};

struct roster_options {
	const char *file;         /* or folder; NULL: the backend needs none */
	bool allow_empty;
	const char *domain;       /* of JIDs that rows have not; NULL: such rows have none */
	struct str pseudonym_key; /* borrowed during the load */
	const struct conf *conf;  /* its readers are let in; NULL: none */
	const struct str *seen;   /* ids of the students who sent events, for "all" */
	size_t n_seen;
	int64_t now_s;            /* for dates in the source; 0: the clock */
};

/* What conf says, without the students seen. */
struct roster_options roster_options_of(const struct conf *conf, struct str pseudonym_key);
/* For people: the file, or the backend that needs none. */
const char *roster_place(const struct conf *conf);

struct roster_watch;

/* load, init and save wait for their source and touch nothing but their arguments,
 * so that a thread of the pool can run them. What a backend lacks is NULL. */
struct roster_backend {
	const char *name;
	bool remote; /* a server's: it may be away at the start, so a copy is kept (roster_copy) */
	struct roster *(*load)(const struct roster_options *o, char **why);
	/* On the loop: calls changed(arg) through it whenever the source says that it
	 * changed, until close. Failures are the log's and are tried again. */
	struct roster_watch *(*watch)(struct loop *l, const struct roster_options *o,
	    loop_cb *changed, void *arg, char **why);
	void (*close)(struct roster_watch *w);
	/* For lecternctl: makes an empty source; puts r in the place of all it holds. */
	enum err (*init)(const struct roster_options *o, char **why);
	enum err (*save)(const struct roster_options *o, const struct roster *r, char **why);
};

/* The table; a row here (and in roster.c) is all a new backend needs. */
extern const struct roster_backend roster_csv;
extern const struct roster_backend roster_oneroster;
extern const struct roster_backend roster_files;
extern const struct roster_backend roster_sqlite;
extern const struct roster_backend roster_postgres;
extern const struct roster_backend roster_all;

/* NULL with *why (mem_free it), which names the known ones. */
const struct roster_backend *roster_backend(const char *name, char **why);

/* NULL with *why (mem_free it; names file and line) when the source cannot be
 * read or is not wholly right: a roster is never half loaded. */
struct roster *roster_load(const char *backend, const struct roster_options *o, char **why);
void roster_free(struct roster *r);

/* Distinguishes one load from the next within this process: 1, 2, 3 ... */
uint64_t roster_version(const struct roster *r);

const struct roster_student *roster_student(const struct roster *r, struct str id);
const struct roster_student *roster_by_pseudonym(const struct roster *r, struct str pseudonym);
const struct roster_class *roster_class(const struct roster *r, struct str name);
/* JIDs canonical. */
const struct roster_student *roster_by_jid(const struct roster *r, struct str jid);
const struct roster_person *roster_person(const struct roster *r, struct str jid);

/* The student known by any of: id, JID, e-mail address, alias; or NULL. An id of
 * the roster comes before what else is the same. */
const struct roster_student *roster_identify(const struct roster *r, struct str any);

/* What the source holds without use, or what is odd about it but no reason to
 * refuse it: lines for an administrator, bounded; may name places, never people. */
struct str roster_notes(const struct roster *r);
size_t roster_noted(const struct roster *r); /* how many there were */

/* All classes sorted by name, all students sorted by id. */
const struct roster_class *roster_class_at(const struct roster *r, size_t i);
const struct roster_student *roster_student_at(const struct roster *r, size_t i);
const struct roster_person *roster_person_at(const struct roster *r, size_t i); /* by JID */
size_t roster_classes(const struct roster *r);
size_t roster_students(const struct roster *r);
size_t roster_people(const struct roster *r);

/* As what somebody reads. */
enum roster_as {
	ROSTER_AS_NOBODY,
	ROSTER_AS_READER, /* configured for the class, or one of the student's */
	ROSTER_AS_TEACHER,
	ROSTER_AS_GUARDIAN,
	ROSTER_AS_SELF
};
/* reducer NULL: what does not depend on one, such as who is in a class. Only
 * configured readers may be kept to some. */
enum roster_as roster_reads_class(const struct roster_class *c, struct str jid,
    const char *reducer);
enum roster_as roster_reads_student(const struct roster_student *s, struct str jid,
    const char *reducer);

/* ---- for backends: building one ---- */

/* The key is borrowed until roster_seal. */
struct roster *roster_new(struct str pseudonym_key);
enum roster_role { ROSTER_TEACHER, ROSTER_STUDENT, ROSTER_GUARDIAN };
const char *roster_role_name(enum roster_role role);

/* One row as its source has it; what that does not say is empty. */
struct roster_row {
	enum roster_role role;
	struct str class;        /* its name; of a guardian it means nothing */
	struct str title;        /* of the class */
	struct str id;           /* the student's; of a guardian, the ward's */
	struct str person;       /* id of a teacher or guardian in the source */
	struct str jid;
	struct str login;        /* with the domain of the options the JID, when there is none */
	bool no_login;           /* who may not sign in has no JID, whatever is said here */
	struct str email, name, given, family;
	const struct str *aliases; /* of the student */
	size_t n_aliases;
	size_t line;             /* in the source, named when another row contradicts it; 0: none */
};
#define ROSTER_TEXT_MAX 1024   /* bytes of any of these */
#define ROSTER_ROWS_MAX ((size_t)1000000)
#define ROSTER_ALIASES_MAX 64  /* of one student */

/* The beginning and the end of a load: an empty roster as o wants it; and sealed,
 * or NULL with *why (mem_free it), r freed, when nobody is in it although o does not
 * allow that. `source` is what the log calls the place. */
struct roster *roster_begin(const struct roster_options *o);
struct roster *roster_finish(struct roster *r, const struct roster_options *o, const char *source,
    char **why);

/* The domain of o, for rows without a JID: login@domain, else the e-mail address
 * if it is in that domain. */
void roster_set_domain(struct roster *r, const char *domain);

/* Adds one row; the JID is made canonical. Repeating a row is harmless;
 * ERR_INVALID with *why (lives as long as r) when it lacks what its role needs or
 * contradicts an earlier one: a JID that is teacher and student of the same class,
 * an id with two names or two own JIDs, anything by which two students would be
 * known, more rows than a roster may have. The roster is then only good for
 * roster_free. */
enum err roster_add(struct roster *r, const struct roster_row *row, const char **why);
/* Whether a person of this row has a JID, or gets one from the domain. */
bool roster_has_jid(const struct roster *r, const struct roster_row *row);
void roster_note(struct roster *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The rows from which the roster could be made again: a student's once per class,
 * a teacher's once per class, a guardian's once per ward. False when each did. */
typedef bool roster_row_cb(void *arg, const struct roster_row *row);
bool roster_each_row(const struct roster *r, roster_row_cb *each, void *arg);

/* After roster_seal: lets in the configured readers. Classes that the roster does
 * not have are named in the log, as they may come later. ERR_INVALID with *why
 * (mem_free it) when a reader is a student of the class. */
enum err roster_grant(struct roster *r, const struct conf *c, char **why);
/* Sorts and checks (guardians without a student, *why as above); after it nothing
 * is added. */
enum err roster_seal(struct roster *r, const char **why);

/* The form in which JIDs are kept and asked for; see jid_bare. */
static inline bool
roster_jid(struct str text, struct buf *out)
{
	return jid_bare(text, out);
}

#endif
