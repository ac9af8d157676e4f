/* SPDX-License-Identifier: MIT */
/* credentials: see credentials.h. */
#include "web/credentials.h"

#include <strings.h>

#include "base/mem.h"

static const char credentials_need[] = "username and password are needed, once each.";

/* ---- JSON ---- */

static int
credentials_json(struct json_doc *doc, struct str body, struct credentials *out, const char **why)
{
	char *text = mem_zalloc(body.n + JSON_PADDING);
	struct str user, password;
	struct json root;
	int status = 400;

	memcpy(text, body.p, body.n);
	*why = "The body is not one valid JSON object.";
	if (json_parse(doc, (struct str){ text, body.n }, &root) == ERR_OK &&
	    json_type(root) == JSON_OBJECT) {
		*why = credentials_need;
		if (json_get_str(root, "username", &user) &&
		    json_get_str(root, "password", &password)) {
			buf_str(&out->user, user);
			buf_str(&out->password, password);
			status = 200;
		}
	}
	mem_wipe(text, body.n);
	mem_free(text);
	return status;
}

/* ---- a form (application/x-www-form-urlencoded, URL Standard §5.1) ---- */

static int
credentials_hex(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)((at - digits) % 16) : -1;
}

/* A "%" without two digits stands for itself, as there. */
static void
credentials_decode(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		int high = s.p[i] == '%' && i + 2 < s.n ? credentials_hex(s.p[i + 1]) : -1;
		int low = high >= 0 ? credentials_hex(s.p[i + 2]) : -1;

		if (low >= 0) {
			buf_byte(out, (char)(high * 16 + low));
			i += 2;
		} else {
			buf_byte(out, s.p[i] == '+' ? ' ' : s.p[i]);
		}
	}
}

/* The next "name=value" of the form. */
static bool
credentials_pair(struct str *rest, struct str *name, struct str *value)
{
	const char *end, *equals;
	size_t n;

	if (rest->p == NULL || rest->n == 0)
		return false;
	end = memchr(rest->p, '&', rest->n);
	n = end != NULL ? (size_t)(end - rest->p) : rest->n;
	equals = memchr(rest->p, '=', n);
	name->p = rest->p;
	name->n = equals != NULL ? (size_t)(equals - rest->p) : n;
	value->p = equals != NULL ? equals + 1 : rest->p + n;
	value->n = (size_t)(rest->p + n - value->p);
	n += end != NULL;
	*rest = (struct str){ rest->p + n, rest->n - n };
	return true;
}

static int
credentials_form(struct str body, struct credentials *out, const char **why)
{
	struct str name, value;
	unsigned users = 0, passwords = 0;

	while (credentials_pair(&body, &name, &value)) {
		if (str_is(name, "username") && users++ == 0)
			credentials_decode(value, &out->user);
		else if (str_is(name, "password") && passwords++ == 0)
			credentials_decode(value, &out->password);
	}
	*why = credentials_need;
	return users == 1 && passwords == 1 ? 200 : 400;
}

/* ---- either ---- */

/* The media type without its parameters (RFC 9110 §8.3.1). */
static bool
credentials_is_type(struct str type, const char *want)
{
	size_t n = 0;

	while (n < type.n && type.p[n] != ';' && type.p[n] != ' ' && type.p[n] != '\t')
		n++;
	return n == strlen(want) && strncasecmp(type.p, want, n) == 0;
}

int
credentials_read(struct json_doc *doc, struct str type, struct str body, struct credentials *out,
    const char **why)
{
	*out = (struct credentials){ BUF_INIT(0), BUF_INIT(0) };
	if (credentials_is_type(type, "application/json"))
		return credentials_json(doc, body, out, why);
	if (credentials_is_type(type, "application/x-www-form-urlencoded"))
		return credentials_form(body, out, why);
	*why = "The body must be a form or JSON, and say so.";
	return 415;
}

void
credentials_wipe(struct credentials *c)
{
	if (c->password.data != NULL)
		mem_wipe(c->password.data, c->password.cap);
	buf_free(&c->password);
	buf_free(&c->user);
}
