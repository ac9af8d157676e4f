/* SPDX-License-Identifier: MIT */
/* ctl/wsock: a small blocking WebSocket client, plain or over TLS, that tells
 * exactly how far it came. For lecternctl's own questions to the web door. */
#ifndef LECTERN_CTL_WSOCK_H
#define LECTERN_CTL_WSOCK_H

#include <stdbool.h>

#include "base/buf.h"

struct wsock_options {
	const char *address; /* numeric */
	int port;
	bool tls;
	const char *host;    /* Host header */
	const char *origin;  /* NULL: none is sent */
	unsigned timeout_s;  /* of each step */
};

/* How far wsock_open came. */
enum wsock_step { WSOCK_CONNECT, WSOCK_TLS, WSOCK_UPGRADE, WSOCK_OPEN };

struct wsock_report {
	enum wsock_step step;
	char why[512];       /* unless WSOCK_OPEN */
	int status;          /* of the HTTP answer; 0: what answered is no HTTP */
	double connect_ms, tls_ms, upgrade_ms;
	bool cert_seen;
	double cert_days;    /* until the first of the chain ends; negative: it has */
};

struct wsock;

/* NULL when it did not come to WSOCK_OPEN. The certificate's dates are looked
 * at, not who signed it: the name browsers use is not known here. */
struct wsock *wsock_open(const struct wsock_options *o, struct wsock_report *r);
bool wsock_send(struct wsock *s, struct str text);
/* Appends the next text message; false with *why (static) when none comes. */
bool wsock_receive(struct wsock *s, struct buf *text, const char **why);
/* Says good-bye (RFC 6455 §5.5.1). NULL is allowed. */
void wsock_close(struct wsock *s);

#endif
