/* SPDX-License-Identifier: MIT */
/* What the files of the roster share. */
#ifndef LECTERN_STATE_ROSTER_PRIV_H
#define LECTERN_STATE_ROSTER_PRIV_H

#include "base/map.h"
#include "base/mem.h"
#include "state/roster.h"

struct roster {
	struct str key;     /* borrowed until seal */
	char *domain;       /* of logins; or NULL */
	bool ids_as_shown;  /* ids are what clients showed, and nobody is known by more */
	uint64_t version;
	size_t rows;
	struct map *classes, *students; /* by name, by id */
	struct map *people;             /* teachers and guardians by JID */
	struct map *pseudonyms;         /* this and those below own nothing */
	struct map *names;              /* JID, e-mail, alias -> the student */
	struct roster_class **class_at; /* sorted; filled by seal */
	struct roster_student **student_at;
	struct roster_person **person_at;
	struct roster_grant *grants;
	size_t n_grants;
	struct buf notes;
	size_t noted;
	char why[320];
};

/* Room for one more pointer behind the n of *array, whose size is the power of
 * two that holds them. */
static inline void
roster_grow(void *array, size_t n)
{
	void **at = array;

	if ((n & (n - 1)) == 0)
		*at = mem_realloc(*at, (n > 0 ? 2 * n : 1) * sizeof(void *));
}

/* The form in which an address is kept and looked for: ASCII letters of what has
 * an '@' in lower case, all else as it is. */
struct str roster_known_as(struct str any, struct buf *scratch);

#endif
