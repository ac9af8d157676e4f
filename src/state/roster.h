/* SPDX-License-Identifier: MIT */
/* roster: who teaches and who attends which class. An immutable snapshot,
 * loaded whole or not at all; a reload makes a new one. Backends are const
 * descriptors in one table (roster.c).
 *
 * JIDs are kept canonical (base/jid.h) and compared byte by byte. */
#ifndef LECTERN_STATE_ROSTER_H
#define LECTERN_STATE_ROSTER_H

#include "base/conf.h"
#include "base/jid.h"
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
	char *id;                       /* safe_user_id */
	char *name;                     /* display name, may be "" */
	char pseudonym[PSEUDONYM_LEN + 1];
	struct roster_class **classes;  /* sorted by name */
	size_t n_classes;
	char *jid;                      /* the student's own, or NULL */
	char **readers;                 /* JIDs of the student and guardians */
	size_t n_readers;
};

struct roster_class {
	char *name;
	struct roster_student **students; /* sorted by pseudonym */
	size_t n_students;
	char **teachers;                  /* JIDs, sorted */
	size_t n_teachers;
	const struct roster_grant **grants;
	size_t n_grants;
};

struct roster_options {
	const char *file;
	bool allow_empty;
	struct str pseudonym_key; /* borrowed during the load */
	const struct conf *conf;  /* its readers are let in; NULL: none */
};

struct roster_backend {
	const char *name;
	struct roster *(*load)(const struct roster_options *o, char **why);
};

/* The table; a row here is all a new backend needs. */
extern const struct roster_backend roster_csv;

/* NULL with *why (mem_free it; names file and line) when the source cannot be
 * read or is not wholly right: a roster is never half loaded. */
struct roster *roster_load(const char *backend, const struct roster_options *o, char **why);
void roster_free(struct roster *r);

/* Distinguishes one load from the next within this process: 1, 2, 3 ... */
uint64_t roster_version(const struct roster *r);

const struct roster_student *roster_student(const struct roster *r, struct str id);
const struct roster_student *roster_by_pseudonym(const struct roster *r, struct str pseudonym);
const struct roster_class *roster_class(const struct roster *r, struct str name);

/* All classes sorted by name, all students sorted by id. */
const struct roster_class *roster_class_at(const struct roster *r, size_t i);
const struct roster_student *roster_student_at(const struct roster *r, size_t i);
size_t roster_classes(const struct roster *r);
size_t roster_students(const struct roster *r);

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
/* Adds one row; the JID is made canonical. Repeating a row is harmless;
 * ERR_INVALID with *why (static) when it lacks what its role needs or contradicts
 * an earlier one: a JID that is teacher and student of the same class, an id
 * with two names or two own JIDs, two students with the same JID. The roster is
 * then only good for roster_free. A teacher's id and name mean nothing; a
 * guardian's id is the student's and the class means nothing. */
enum err roster_add(struct roster *r, enum roster_role role, struct str class, struct str id,
    struct str jid, struct str name, const char **why);
/* After roster_seal: lets in the configured readers. Classes that the roster does
 * not have are named in the log, as they may come later. ERR_INVALID with *why
 * (mem_free it) when a reader is a student of the class. */
enum err roster_grant(struct roster *r, const struct conf *c, char **why);
/* Sorts and checks (guardians without a student, *why is static); after it
 * nothing is added. */
enum err roster_seal(struct roster *r, const char **why);

/* The form in which JIDs are kept and asked for; see jid_bare. */
static inline bool
roster_jid(struct str text, struct buf *out)
{
	return jid_bare(text, out);
}

#endif
