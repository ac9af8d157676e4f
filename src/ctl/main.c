/* SPDX-License-Identifier: MIT */
/* ctl/main: finds the verb of lecternctl. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "ctl/ctl.h"

static const struct ctl_verb {
	const char *name;
	const char *usage;
	int (*run)(int argc, char **argv);
} ctl_verbs[] = {
	{ "status", "[-c FILE]  what the daemon does, as JSON", ctl_status },
	{ "reload", "[-c FILE]  read configuration and roster anew", ctl_status },
	{ "digest", "[-c FILE]  position and SHA-256 of all states", ctl_status },
	{ "states", "[-c FILE]  every state, a line of JSON each", ctl_status },
	{ "journal", "verify|dump|replay [--verify] [-c FILE | --dir DIR]", ctl_journal },
	{ "token", "[-c FILE] --user ID [--ttl SECONDS]  mint a student token", ctl_token },
	{ "passwd", "[-c FILE] [--password-file FILE | --delete] USER  who may sign in",
	    ctl_passwd },
	{ "audit", "[-c FILE] [--student PSEUDONYM] [--reader JID] [--at TIME] [--events] [FILE...]",
	    ctl_audit },
	{ "roster", "check|show|init|import [-c FILE] [...]  the roster, looked at and put into a "
	    "database", ctl_roster },
	{ "pseudonym", "[-c FILE] ID...  pseudonyms of students", ctl_pseudonym },
	{ "node", "[-c FILE] NODE...  names of nodes at the server's PubSub service", ctl_pseudonym },
	{ "watch", "--jid JID --service SERVICE [...] NODE  subscribe as an XMPP client", ctl_watch },
	{ "kvs", "[-c FILE] get KEY...|list|dump|load|import ...  the store of states", ctl_kvs },
	{ "doctor", "[-c FILE] [--json] [--probe --jid JID [...]]  check a deployment", ctl_doctor },
};

#define CTL_VERBS (sizeof ctl_verbs / sizeof *ctl_verbs)

static void
ctl_usage(FILE *out)
{
	fputs("usage: lecternctl VERB ...\n\n", out);
	for (size_t i = 0; i < CTL_VERBS; i++)
		fprintf(out, "  %-10s %s\n", ctl_verbs[i].name, ctl_verbs[i].usage);
	fputs("\nThe configuration is " LECTERN_CONF " unless -c names another.\n", out);
}

int
main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
		ctl_usage(stdout);
		return EX_OK;
	}
	if (strcmp(verb, "--version") == 0) {
		puts("lecternctl " PACKAGE_VERSION);
		return EX_OK;
	}
	for (size_t i = 0; i < CTL_VERBS; i++)
		if (strcmp(verb, ctl_verbs[i].name) == 0)
			return ctl_verbs[i].run(argc - 1, argv + 1);
	ctl_usage(stderr);
	return EX_USAGE;
}
