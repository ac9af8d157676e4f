/* SPDX-License-Identifier: MIT */
/* ctl: lecternctl, one file per verb. Verbs take their own argc and argv
 * (argv[0] is the verb) and answer an exit status of sysexits.h. */
#ifndef LECTERN_CTL_CTL_H
#define LECTERN_CTL_CTL_H

#include "base/buf.h"
#include "base/conf.h"

int ctl_status(int argc, char **argv);    /* status, reload, digest, states */
int ctl_journal(int argc, char **argv);
int ctl_token(int argc, char **argv);
int ctl_passwd(int argc, char **argv);
int ctl_audit(int argc, char **argv);
int ctl_pseudonym(int argc, char **argv);
int ctl_roster(int argc, char **argv);
int ctl_watch(int argc, char **argv);
int ctl_kvs(int argc, char **argv);
int ctl_doctor(int argc, char **argv);

/* ---- shared by the verbs ---- */

/* Takes "-c FILE" out of the arguments (argc and argv are changed) and reads
 * that configuration, by default the installed one. NULL after having said
 * why. */
struct conf *ctl_conf(int *argc, char **argv);

/* Takes "NAME VALUE" out of the arguments; NULL when it is not there. A name
 * without a value ends the process with EX_USAGE. */
const char *ctl_option(int *argc, char **argv, const char *name);
/* Takes "NAME" out of the arguments. */
bool ctl_flag(int *argc, char **argv, const char *name);

/* Takes "NAME NUMBER" out of the arguments; 0 when it is not there. Anything but
 * a number from 1 to max ends the process with EX_USAGE. */
long ctl_number(int *argc, char **argv, const char *name, long max);

/* Asks the daemon one request through its control socket and appends the
 * answer; 0, or the errno that says why not. */
int ctl_try(const char *socket, const char *request, struct buf *answer);
/* The same; false after having said why. */
bool ctl_ask(const char *socket, const char *request, struct buf *answer);

/* Prints to standard output; EX_OK or EX_IOERR. */
int ctl_print(struct str text);

#endif
