/* SPDX-License-Identifier: MIT */
/* link_rival: notices another process that is connected as the same component. */
#ifndef LECTERN_XMPP_LINK_RIVAL_H
#define LECTERN_XMPP_LINK_RIVAL_H

#include <stdbool.h>
#include <stdint.h>

#define RIVAL_NAME 33   /* wall clock at the beginning, then chance; hex and NUL */
#define RIVAL_ID_MAX 80

struct rival {
	char ours[RIVAL_NAME], theirs[RIVAL_NAME];
	uint64_t pings, first_ms;
};

enum rival_word {
	RIVAL_NO_PONG, /* not the answer to such a ping */
	RIVAL_OURS,
	RIVAL_MAYBE,   /* another's; ask around, so that it hears of us, too */
	RIVAL_OLDER,   /* there is another, and it was here first */
	RIVAL_YOUNGER  /* there is another, which should go */
};

void rival_init(struct rival *r, int64_t wall_us);
/* The id of the next ping. */
void rival_ping_id(struct rival *r, char out[RIVAL_ID_MAX]);
/* What the id of an answer to a ping says. */
enum rival_word rival_hear(struct rival *r, const char *id, uint64_t now_ms);

#endif
