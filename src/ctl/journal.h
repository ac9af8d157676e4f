/* SPDX-License-Identifier: MIT */
/* What the journal verbs of lecternctl share. */
#ifndef LECTERN_CTL_JOURNAL_H
#define LECTERN_CTL_JOURNAL_H

#include "ctl/ctl.h"
#include "state/journal.h"

/* Where the journal is and how to read it. */
struct ctl_journal {
	struct conf *conf;        /* NULL with --dir */
	char *dir;
	const char *organisation; /* NULL: any */
	struct buf line;
	bool write_failed;
};

/* Reads the whole journal, saying every damaged place; EX_OK, EX_DATAERR when
 * there is any, or another. */
int ctl_journal_run(struct ctl_journal *j, record_cb *cb, void *arg, struct journal_summary *sum);

/* The verb `journal replay`, in replay.c. */
int ctl_journal_replay(struct ctl_journal *j, int argc, char **argv);

#endif
