/* SPDX-License-Identifier: MIT */
/* handshake: RFC 6455 §4.2. Everything is compared with its length, so that a
 * prefix, a NUL or another case never passes for the real thing. */
#include "web/handshake.h"

#include <strings.h>

#include "base/crypt.h"

#define HANDSHAKE_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 §1.3 */
#define HANDSHAKE_KEY_LEN 24                                  /* 16 bytes in base64 */

bool
handshake_host_known(const struct http_head *h, const struct conf *c)
{
	struct str host = { NULL, 0 };

	if (c->hosts.n == 0)
		return true;
	http_get(h, "Host", &host);
	for (size_t i = 0; i < c->hosts.n; i++) {
		if (strlen(c->hosts.v[i]) == host.n &&
		    strncasecmp(c->hosts.v[i], host.p, host.n) == 0)
			return true;
	}
	return false;
}

/* The scheme counts: a page of http://HOST may be anybody's who is on the line, and
 * must not use what was proven to https://HOST. */
static bool
handshake_origin_own(const struct http_head *h, struct str origin, const char *scheme)
{
	struct str host = { NULL, 0 };
	size_t n = strlen(scheme);

	http_get(h, "Host", &host);
	return str_starts(origin, scheme) && host.n > 0 && origin.n == n + host.n &&
	    strncasecmp(origin.p + n, host.p, host.n) == 0;
}

/* Browsers write origins in one way only (RFC 6454 §6.2): equal bytes. */
bool
handshake_origin_known(const struct http_head *h, const struct conf *c, const char *own)
{
	struct str origin;

	if (!http_get(h, "Origin", &origin))
		return c->allow_no_origin;
	if (own != NULL && handshake_origin_own(h, origin, own))
		return true;
	for (size_t i = 0; i < c->origins.n; i++) {
		if (str_is(origin, c->origins.v[i]))
			return true;
	}
	return false;
}

/* 22 characters of base64 of which the last carries two bits, then "==". */
static bool
handshake_key_good(struct str key)
{
	for (size_t i = 0; key.n == HANDSHAKE_KEY_LEN && i < 22; i++) {
		char c = key.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') || c == '+' || c == '/'))
			return false;
	}
	return key.n == HANDSHAKE_KEY_LEN && memchr("AQgw", key.p[21], 4) != NULL &&
	    key.p[22] == '=' && key.p[23] == '=';
}

static bool
handshake_once(const struct http_head *h)
{
	static const char *const names[] = { "Origin", "Sec-WebSocket-Key",
		"Sec-WebSocket-Version", "X-Real-IP" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (http_count(h, names[i]) > 1)
			return false;
	}
	return true;
}

/* RFC 6455 §4.2.1, in the order of its list. */
static int
handshake_protocol(const struct http_head *h, const char **why)
{
	struct str version, key;

	if (!http_has_token(h, "Upgrade", "websocket") ||
	    !http_has_token(h, "Connection", "Upgrade")) {
		*why = "This address speaks WebSocket only.";
		return 426;
	}
	if (!http_get(h, "Sec-WebSocket-Key", &key) || !handshake_key_good(key)) {
		*why = "Sec-WebSocket-Key must be 16 bytes in base64.";
		return 400;
	}
	if (!http_get(h, "Sec-WebSocket-Version", &version) || !str_is(version, "13")) {
		*why = "Only version 13 of WebSocket is spoken here.";
		return 426;
	}
	return 101;
}

int
handshake_check(const struct http_head *h, const struct conf *c, const char *own,
    const char **why)
{
	if (!str_is(http_str(h, h->method), "GET")) {
		*why = "Only GET is allowed here.";
		return 405;
	}
	if (h->has_query) {
		*why = "No query is allowed here: tokens in addresses end in log files.";
		return 400;
	}
	if (http_has_body(h) || !handshake_once(h)) {
		*why = "A handshake has no body and says each thing once.";
		return 400;
	}
	if (!handshake_origin_known(h, c, own)) {
		*why = "Pages of this origin may not connect here.";
		return 403;
	}
	return handshake_protocol(h, why);
}

void
handshake_guest(const struct http_head *h, char id[HANDSHAKE_GUEST_LEN + 1], bool *fresh)
{
	struct buf hex = BUF_INIT(HANDSHAKE_GUEST_LEN);
	uint8_t raw[HANDSHAKE_GUEST_LEN / 2];
	struct str cookie;

	*fresh = !http_cookie(h, "guest_id", &cookie) || cookie.n != HANDSHAKE_GUEST_LEN;
	for (size_t i = 0; !*fresh && i < cookie.n; i++)
		*fresh = memchr("0123456789abcdef", cookie.p[i], 16) == NULL;
	if (*fresh) {
		crypt_random(raw, sizeof raw);
		crypt_hex(&hex, raw, sizeof raw);
		cookie = buf_view(&hex);
	}
	memcpy(id, cookie.p, HANDSHAKE_GUEST_LEN);
	id[HANDSHAKE_GUEST_LEN] = '\0';
	buf_free(&hex);
}

/* RFC 6455 §4.2.2 step 5: SHA-1 of key and GUID, in base64. */
static void
handshake_accept_key(struct buf *out, struct str key)
{
	struct str pieces[] = { key, STR_LIT(HANDSHAKE_GUID) };
	uint8_t digest[CRYPT_SHA1];
	size_t from = out->len;

	crypt_sha1(pieces, 2, digest);
	crypt_base64url(out, digest, sizeof digest);
	for (size_t i = from; i < out->len; i++) {
		if (out->data[i] == '-')
			out->data[i] = '+';
		else if (out->data[i] == '_')
			out->data[i] = '/';
	}
	buf_z(out, "=");
}

void
handshake_accept(struct buf *out, const struct http_head *h, const char *guest, bool secure)
{
	struct str key = STR_LIT("");

	http_get(h, "Sec-WebSocket-Key", &key);
	buf_z(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
	handshake_accept_key(out, key);
	if (guest != NULL)
		buf_printf(out, "\r\nSet-Cookie: guest_id=%s; Path=/wsapi/in; HttpOnly; "
		    "SameSite=Lax; Max-Age=31536000%s", guest, secure ? "; Secure" : "");
	buf_z(out, "\r\n\r\n");
}
