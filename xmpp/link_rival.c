/* SPDX-License-Identifier: MIT */
/* link_rival: see link.h. Some servers let two connections be the same component
 * and split what is sent to it between them, without a sign to either. So every
 * ping of ours bears a name that no other process has: the answer to a ping we
 * never sent is another's. Which of two was there first, each sees alike. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crypt.h"
#include "xmpp/link_rival.h"

#define RIVAL_SURE_MS 500 /* heard of again so much later: it lives */

void
rival_init(struct rival *r, int64_t wall_us)
{
	uint64_t random;

	crypt_random(&random, sizeof random);
	*r = (struct rival){ 0 };
	snprintf(r->ours, sizeof r->ours, "%016" PRIx64 "%016" PRIx64, (uint64_t)wall_us, random);
}

void
rival_ping_id(struct rival *r, char out[RIVAL_ID_MAX])
{
	snprintf(out, RIVAL_ID_MAX, "alive-%s-%" PRIu64, r->ours, ++r->pings);
}

/* The name inside the id of a ping; false when it is none of this kind. */
static bool
rival_name(const char *id, char out[RIVAL_NAME])
{
	if (strncmp(id, "alive-", 6) != 0 || strspn(id + 6, "0123456789abcdef") != RIVAL_NAME - 1 ||
	    id[6 + RIVAL_NAME - 1] != '-')
		return false;
	memcpy(out, id + 6, RIVAL_NAME - 1);
	out[RIVAL_NAME - 1] = '\0';
	return true;
}

enum rival_word
rival_hear(struct rival *r, const char *id, uint64_t now_ms)
{
	char theirs[RIVAL_NAME];

	if (id == NULL || !rival_name(id, theirs))
		return RIVAL_NO_PONG;
	if (strcmp(theirs, r->ours) == 0)
		return RIVAL_OURS;
	/* One answer alone may be that to a process that has just died. */
	if (strcmp(theirs, r->theirs) != 0) {
		memcpy(r->theirs, theirs, sizeof theirs);
		r->first_ms = now_ms;
		return RIVAL_MAYBE;
	}
	if (now_ms - r->first_ms < RIVAL_SURE_MS)
		return RIVAL_MAYBE;
	return strcmp(theirs, r->ours) < 0 ? RIVAL_OLDER : RIVAL_YOUNGER;
}
