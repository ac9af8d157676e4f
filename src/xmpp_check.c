/* SPDX-License-Identifier: MIT */
/* xmpp_check: lectern-xmpp-check, a program that lecternd runs: signs in at an XMPP
 * server to find out whether a password is the account's. Standard input has five
 * lines: JID, password, host (or nothing), port, CA file (or nothing). Ends with
 * EX_OK when it is, EX_NOPERM when the server says that it is not, and with
 * EX_UNAVAILABLE, and a line on standard error that says why, when it cannot say.
 *
 * TLS is always demanded and the certificate checked, on this machine, too. libstrophe
 * takes the best SCRAM that is offered, without any PLAIN, and would go on to the next
 * when one fails: that is where this ends. It does not tell why a connection ended; the
 * server's <failure/> is found in what it logs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <strophe.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define CHECK_LINE_MAX 8192
#define CHECK_SECONDS 12 /* less than the daemon waits */
#define CHECK_STEP_MS 50

enum check_line { CHECK_JID, CHECK_PASSWORD, CHECK_HOST, CHECK_PORT, CHECK_CA, CHECK_LINES };

struct check {
	char line[CHECK_LINES][CHECK_LINE_MAX];
	int status;  /* -1: not known yet */
	char why[256];
};

/* RFC 6120 §6.5: what is wrong with the password, or the account, and stays so. */
static int
check_is_refusal(const char *text)
{
	static const char *const conditions[] = { "<not-authorized", "<account-disabled",
		"<credentials-expired", "<invalid-authzid", "<malformed-request" };

	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
		if (strstr(text, conditions[i]) != NULL)
			return 1;
	return 0;
}

/* What it logs holds what is sent, too, so none of it is passed on. */
static void
check_log_cb(void *arg, xmpp_log_level_t level, const char *area, const char *text)
{
	struct check *c = arg;

	(void)area;
	if (c->status >= 0)
		return;
	if (strncmp(text, "RECV: <failure", 14) == 0 && strstr(text, "xmpp-sasl") != NULL) {
		c->status = check_is_refusal(text) ? EX_NOPERM : EX_UNAVAILABLE;
		snprintf(c->why, sizeof c->why, "the server refuses to say");
	} else if (level == XMPP_LEVEL_ERROR && strncmp(text, "SENT", 4) != 0) {
		snprintf(c->why, sizeof c->why, "%.200s", text);
	}
}

static void
check_conn_cb(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
    xmpp_stream_error_t *stream_error, void *arg)
{
	struct check *c = arg;

	if (event == XMPP_CONN_CONNECT) {
		c->status = EX_OK;
		xmpp_disconnect(conn);
		return;
	}
	if (c->status >= 0)
		return;
	c->status = EX_UNAVAILABLE;
	if (stream_error != NULL && stream_error->text != NULL)
		snprintf(c->why, sizeof c->why, "%.200s", stream_error->text);
	else if (error != 0)
		snprintf(c->why, sizeof c->why, "%s", strerror(error));
}

/* The server's words may be part of it: no line of ours can be forged by them. */
static void
check_say(struct check *c)
{
	for (char *p = c->why; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
	fprintf(stderr, "lectern-xmpp-check: %s port %s: %s\n",
	    c->line[CHECK_HOST][0] != '\0' ? c->line[CHECK_HOST] : "the server of auth.domain",
	    c->line[CHECK_PORT], c->why[0] != '\0' ? c->why : "no session (address or certificate)");
}

static int
check_read(struct check *c)
{
	setvbuf(stdin, NULL, _IONBF, 0); /* no copy in a buffer that nobody wipes */
	for (int i = 0; i < CHECK_LINES; i++) {
		if (fgets(c->line[i], CHECK_LINE_MAX, stdin) == NULL ||
		    strchr(c->line[i], '\n') == NULL)
			return 0;
		c->line[i][strcspn(c->line[i], "\n")] = '\0';
	}
	return 1;
}

static void
check_connect(struct check *c, xmpp_conn_t *conn)
{
	const char *host = c->line[CHECK_HOST][0] != '\0' ? c->line[CHECK_HOST] : NULL;
	unsigned short port = (unsigned short)strtol(c->line[CHECK_PORT], NULL, 10);

	xmpp_conn_set_flags(conn, XMPP_CONN_FLAG_MANDATORY_TLS | XMPP_CONN_FLAG_DISABLE_SM);
	xmpp_conn_set_jid(conn, c->line[CHECK_JID]);
	xmpp_conn_set_pass(conn, c->line[CHECK_PASSWORD]);
	explicit_bzero(c->line[CHECK_PASSWORD], CHECK_LINE_MAX);
	if (c->line[CHECK_CA][0] != '\0')
		xmpp_conn_set_cafile(conn, c->line[CHECK_CA]);
	if (xmpp_connect_client(conn, host, host != NULL ? port : 0, check_conn_cb, c) != 0) {
		c->status = EX_UNAVAILABLE;
		snprintf(c->why, sizeof c->why, "cannot connect");
	}
}

/* Stops at the first <failure/>, before libstrophe goes on to the next mechanism. */
static void
check_run(struct check *c)
{
	const xmpp_log_t log = { check_log_cb, c };
	xmpp_ctx_t *ctx;
	xmpp_conn_t *conn;
	time_t end = time(NULL) + CHECK_SECONDS;

	xmpp_initialize();
	ctx = xmpp_ctx_new(NULL, &log);
	conn = xmpp_conn_new(ctx);
	check_connect(c, conn);
	while (c->status < 0 && time(NULL) < end)
		xmpp_run_once(ctx, CHECK_STEP_MS);
	if (c->status == EX_OK) /* the good-bye */
		xmpp_run_once(ctx, CHECK_STEP_MS);
	xmpp_conn_release(conn);
	xmpp_ctx_free(ctx);
	xmpp_shutdown();
}

/* libstrophe waits where nobody can end it. */
static void
check_alarm_cb(int sig)
{
	static const char text[] = "lectern-xmpp-check: no answer in time\n";
	ssize_t n = write(2, text, sizeof text - 1);

	(void)sig;
	(void)n;
	_exit(EX_UNAVAILABLE);
}

int
main(void)
{
	static struct check c = { .status = -1 };

	/* libstrophe's select() must not meet what the daemon had open */
	closefrom(3);
	signal(SIGALRM, check_alarm_cb);
	alarm(CHECK_SECONDS + 2);
	signal(SIGPIPE, SIG_IGN); /* a server may close before it got the good-bye */
	if (!check_read(&c)) {
		fputs("lectern-xmpp-check: is run by lecternd, with five lines on its standard input\n",
		    stderr);
		return EX_USAGE;
	}
	check_run(&c);
	if (c.status < 0) {
		c.status = EX_UNAVAILABLE;
		snprintf(c.why, sizeof c.why, "no answer in %d s", CHECK_SECONDS);
	}
	if (c.status == EX_UNAVAILABLE)
		check_say(&c);
	_exit(c.status); /* libstrophe leaves memory behind of a sign-in that failed */
}
