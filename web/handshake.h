/* SPDX-License-Identifier: MIT */
/* handshake: may this request become a WebSocket (RFC 6455 §4.2)? Pure: reads
 * a head and writes an answer. */
#ifndef LECTERN_WEB_HANDSHAKE_H
#define LECTERN_WEB_HANDSHAKE_H

#include "base/conf.h"
#include "web/http.h"

#define HANDSHAKE_GUEST_LEN 32 /* hex digits of a guest id */

/* Whether the Host header, port and all, is one of ours (conf hosts; none there:
 * every one is). */
bool handshake_host_known(const struct http_head *h, const struct conf *c);

/* Whether the Origin header is one of ours (conf origins), or, with the scheme of our
 * `own` pages ("https://"; NULL: there are none), that of the host that is asked;
 * without the header, whether conf allows that. */
bool handshake_origin_known(const struct http_head *h, const struct conf *c, const char *own);

/* 101 when the request may be upgraded; else the status to answer, and *why
 * for its body. Path and host have been looked at before. */
int handshake_check(const struct http_head *h, const struct conf *c, const char *own,
    const char **why);

/* The visitor's guest id: from the cookie when it holds a proper one, else a
 * new one, and *fresh says so. */
void handshake_guest(const struct http_head *h, char id[HANDSHAKE_GUEST_LEN + 1], bool *fresh);

/* Appends the answer 101; with a guest id, a cookie that keeps it for a year.
 * No sub-protocol and no extension is ever chosen. */
void handshake_accept(struct buf *out, const struct http_head *h, const char *guest, bool secure);

#endif
