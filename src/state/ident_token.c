/* SPDX-License-Identifier: MIT */
/* ident_token: the signed student token, made and checked. Knows its format,
 * nothing of events. The signature is checked before anything is read from the
 * claims, so only what our key signed ever reaches the parser. */
#include "base/crypt.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "state/ident.h"

#define TOKEN_PREFIX "lt1."

/* Whether a token may speak for this id. */
static bool
token_id_ok(struct str id)
{
	uint32_t c;
	int ok;

	if (id.n == 0 || id.n > IDENT_ID_MAX || str_starts(id, IDENT_UNVERIFIED))
		return false;
	for (size_t at = 0; at < id.n;) {
		at += utf8_next(id.p + at, id.n - at, &c, &ok);
		if (!ok || c < 0x20 || (c >= 0x7f && c <= 0x9f))
			return false;
	}
	return true;
}

char *
ident_token_mint(struct str key, struct str safe_user_id, int64_t expires_s)
{
	struct buf claims = BUF_INIT(0), token = BUF_INIT(0);
	struct jsonw w = jsonw_to(&claims);
	uint8_t mac[CRYPT_SHA256];

	if (!token_id_ok(safe_user_id))
		return NULL;
	jsonw_object(&w);
	jsonw_kstr(&w, "sub", safe_user_id);
	jsonw_kint(&w, "exp", expires_s);
	jsonw_object_end(&w);
	buf_z(&token, TOKEN_PREFIX);
	crypt_base64url(&token, claims.data, claims.len);
	crypt_hmac_sha256(key, buf_view(&token), mac);
	buf_byte(&token, '.');
	crypt_base64url(&token, mac, sizeof mac);
	buf_free(&claims);
	return buf_take(&token);
}

/* Whether `signature` is the base64url of the HMAC over `signed_part`. */
static bool
token_is_signed(struct str key, struct str signed_part, struct str signature)
{
	struct buf given = BUF_INIT(CRYPT_SHA256);
	uint8_t mac[CRYPT_SHA256];
	bool ok = crypt_base64url_decode(&given, signature) == ERR_OK;

	crypt_hmac_sha256(key, signed_part, mac);
	ok = ok && crypt_equal(buf_view(&given), (struct str){ (const char *)mac, sizeof mac });
	buf_free(&given);
	return ok;
}

static enum err
token_read_claims(struct json_doc *doc, struct str claims, int64_t now_s, char **safe_user_id)
{
	struct json root, exp;
	struct str sub;
	int64_t expires;

	if (json_parse(doc, claims, &root) != ERR_OK || !json_get_str(root, "sub", &sub) ||
	    !token_id_ok(sub) || !json_get(root, "exp", &exp) || !json_int(exp, &expires))
		return ERR_BAD_TOKEN;
	if (expires <= now_s)
		return ERR_TOKEN_EXPIRED;
	*safe_user_id = mem_str(sub);
	return ERR_OK;
}

static enum err
token_claims(struct str encoded, int64_t now_s, char **safe_user_id)
{
	struct buf claims = BUF_INIT(IDENT_TOKEN_MAX);
	enum err e = ERR_BAD_TOKEN;
	struct json_doc *doc;

	if (crypt_base64url_decode(&claims, encoded) == ERR_OK &&
	    buf_room(&claims, JSON_PADDING) != NULL) {
		doc = json_doc_new();
		e = token_read_claims(doc, buf_view(&claims), now_s, safe_user_id);
		json_doc_free(doc);
	}
	buf_free(&claims);
	return e;
}

enum err
ident_token_check(struct str key, struct str token, int64_t now_s, char **safe_user_id)
{
	const size_t prefix = sizeof TOKEN_PREFIX - 1;
	struct str claims, head, signature;
	const char *dot;

	if (token.n > IDENT_TOKEN_MAX || !str_starts(token, TOKEN_PREFIX))
		return ERR_BAD_TOKEN;
	claims = (struct str){ token.p + prefix, token.n - prefix };
	dot = memchr(claims.p, '.', claims.n);
	if (dot == NULL)
		return ERR_BAD_TOKEN;
	claims.n = (size_t)(dot - claims.p);
	head = (struct str){ token.p, prefix + claims.n };
	signature = (struct str){ dot + 1, token.n - head.n - 1 };
	if (!token_is_signed(key, head, signature))
		return ERR_BAD_TOKEN;
	return token_claims(claims, now_s, safe_user_id);
}
