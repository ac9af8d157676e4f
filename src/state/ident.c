/* SPDX-License-Identifier: MIT */
/* ident: see ident.h. The methods, each a row of one table; the token's format
 * is in ident_token.c. Everything but a token is a claim by the client, which
 * `sec` says. */
#include "state/ident.h"

#include "base/crypt.h"
#include "base/map.h"
#include "base/mem.h"
#include "state/roster.h"
#include "state/textfile.h"

#define IDENT_USER_FILE_MAX ((size_t)16 << 20)
#define IDENT_GUEST_BYTES 16 /* random bytes of a guest id, 32 hex digits */
#define IDENT_METHODS_MAX 8

struct ident_method {
	const char *name;
	enum err (*find)(const struct ident_rules *r, const struct ident_claim *c,
	    struct ident *out);
};

struct ident_rules {
	const struct ident_method *methods[IDENT_METHODS_MAX];
	size_t n_methods;
	char *token_key;   /* NULL: the method is off */
	struct map *users; /* lines of the user file */
	bool allow_guest;
};

/* ---- small parts ---- */

static const char *const sec_names[] = {
#define SEC_NAME(sym, name) name,
	SEC_MAP(SEC_NAME)
#undef SEC_NAME
};

const char *
sec_name(enum sec s)
{
	return sec_names[s];
}

bool
sec_by_name(struct str name, enum sec *out)
{
	for (size_t i = 0; i < SEC_COUNT; i++) {
		if (str_is(name, sec_names[i])) {
			*out = (enum sec)i;
			return true;
		}
	}
	return false;
}

void
ident_free(struct ident *i)
{
	mem_free(i->user_id);
	mem_free(i->safe_user_id);
	mem_free(i->shown);
	mem_free(i->email);
	mem_free(i->providence);
	*i = (struct ident){ 0 };
}

static bool
ident_is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    memchr("_.-~@", c, 5) != NULL;
}

char *
ident_safe_id(const char *providence, struct str user_id)
{
	struct buf out = BUF_INIT(0);

	buf_printf(&out, "%s-", providence);
	for (size_t i = 0; i < user_id.n; i++) {
		unsigned char c = (unsigned char)user_id.p[i];

		if (ident_is_plain(c))
			buf_byte(&out, (char)c);
		else if (c == ' ')
			buf_byte(&out, '+');
		else
			buf_printf(&out, "%%%02X", c);
	}
	return buf_take(&out);
}

void
ident_pseudonym(struct str key, struct str safe_user_id, char out[PSEUDONYM_LEN + 1])
{
	uint8_t mac[CRYPT_SHA256];
	struct buf text = BUF_INIT(0);

	crypt_hmac_sha256(key, safe_user_id, mac);
	crypt_base32(&text, mac, sizeof mac);
	memcpy(out, text.data, PSEUDONYM_LEN);
	out[PSEUDONYM_LEN] = '\0';
	buf_free(&text);
}

/* A field as reducers will see it: the locked one, else the event's own. */
static bool
ident_field(const struct ident_claim *c, const char *key, struct json *out)
{
	if (c->locked.doc != NULL && json_get(c->locked, key, out))
		return true;
	return c->event.doc != NULL && json_get(c->event, key, out);
}

/* The string claimed under key. ERR_NOT_FOUND when it is absent or null; a user
 * id is a C string here, so it cannot hold NUL. */
static enum err
ident_string(const struct ident_claim *c, const char *key, struct str *out)
{
	struct json v;

	if (!ident_field(c, key, &v) || json_type(v) == JSON_NULL)
		return ERR_NOT_FOUND;
	if (!json_str(v, out) || out->n == 0 || out->n > IDENT_ID_MAX ||
	    memchr(out->p, '\0', out->n) != NULL)
		return ERR_BAD_IDENTITY;
	return ERR_OK;
}

/* Fills *out; takes user_id and safe_user_id (NULL: made from the other two). */
static enum err
ident_fill(const struct ident_rules *r, struct ident *out, const char *providence,
    char *user_id, char *safe_user_id, enum sec sec)
{
	char *safe = safe_user_id;

	if (safe == NULL)
		safe = ident_safe_id(providence, str_of(user_id));
	if (r->token_key != NULL) {
		char *verified = safe;

		safe = mem_printf(IDENT_UNVERIFIED "%s", verified);
		mem_free(verified);
	}
	*out = (struct ident){ .user_id = user_id, .shown = safe, .providence = mem_strdup(providence),
		.sec = sec };
	if (strlen(user_id) <= IDENT_ID_MAX && strlen(safe) <= IDENT_ID_MAX)
		return ERR_OK;
	ident_free(out);
	return ERR_BAD_IDENTITY;
}

/* ---- methods ---- */

static enum err
ident_token(const struct ident_rules *r, const struct ident_claim *c, struct ident *out)
{
	struct json v;
	struct str token;
	char *id = NULL;
	enum err e;

	if (!ident_field(c, "token", &v) || json_type(v) == JSON_NULL)
		return ERR_NOT_FOUND;
	if (!json_str(v, &token))
		return ERR_BAD_TOKEN;
	e = ident_token_check(str_of(r->token_key), token, c->now_us / 1000000, &id);
	if (e == ERR_OK)
		*out = (struct ident){ .user_id = id, .shown = mem_strdup(id),
			.providence = mem_strdup("token"), .sec = SEC_AUTHENTICATED };
	return e;
}

static enum err
ident_testcase(const struct ident_rules *r, const struct ident_claim *c, struct ident *out)
{
	struct str v;
	enum err e = ident_string(c, "user_id", &v);

	if (e != ERR_OK)
		return e;
	return ident_fill(r, out, "tc", mem_printf("testcase-%.*s", STR_ARG(v)), NULL,
	    SEC_UNAUTHENTICATED);
}

/* The user id of a user_tag, and whether the user file has it. */
static enum err
ident_user_tag(const struct ident_rules *r, const struct ident_claim *c, char **id, bool *known)
{
	struct str v;
	enum err e = ident_string(c, "user_tag", &v);

	if (e != ERR_OK)
		return e;
	*id = mem_printf("ls-%.*s", STR_ARG(v));
	*known = map_get(r->users, str_of(*id)) != NULL;
	return ERR_OK;
}

static enum err
ident_local_storage(const struct ident_rules *r, const struct ident_claim *c, struct ident *out)
{
	char *id;
	bool known;
	enum err e = ident_user_tag(r, c, &id, &known);

	if (e != ERR_OK)
		return e;
	if (!known && !r->allow_guest) {
		mem_free(id);
		return ERR_BAD_IDENTITY;
	}
	return ident_fill(r, out, "ls", id, NULL, known ? SEC_AUTHENTICATED : SEC_UNAUTHENTICATED);
}

static bool
ident_is_decimal(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0 && s.n <= IDENT_ID_MAX;
}

/* The Google id is a claim; the reference believes it when the same client also
 * names a known local_storage user. */
static enum err
ident_chromebook(const struct ident_rules *r, const struct ident_claim *c, struct ident *out)
{
	struct json identity, v;
	struct str id;
	struct str email;
	char *tag, *user_id;
	bool known = false;
	enum err e;

	if (!ident_field(c, "chrome_identity", &identity) || !json_get(identity, "id", &v) ||
	    json_type(v) == JSON_NULL)
		return ERR_NOT_FOUND;
	if (!json_str(v, &id) || !ident_is_decimal(id))
		return ERR_BAD_IDENTITY;
	if (ident_user_tag(r, c, &tag, &known) == ERR_OK)
		mem_free(tag);
	user_id = mem_printf("gc-%.*s", STR_ARG(id));
	e = ident_fill(r, out, "gcu", user_id, mem_strdup(user_id),
	    known ? SEC_AUTHENTICATED : SEC_UNAUTHENTICATED);
	if (e == ERR_OK && json_get_str(identity, "email", &email) && email.n <= IDENT_ID_MAX)
		out->email = mem_str(email);
	return e;
}

/* `hash` is the page's location.hash, which is empty on most pages. */
static enum err
ident_hash(const struct ident_rules *r, const struct ident_claim *c, struct ident *out)
{
	struct json v;
	struct str hash;
	enum err e;

	if (ident_field(c, "hash", &v) && json_str(v, &hash) && hash.n == 0)
		return ERR_NOT_FOUND;
	e = ident_string(c, "hash", &hash);
	if (e != ERR_OK)
		return e;
	return ident_fill(r, out, "mch", mem_printf("hi-%.*s", STR_ARG(hash)), NULL,
	    SEC_UNAUTHENTICATED);
}

static bool
ident_is_guest_id(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
	return s.n == 2 * IDENT_GUEST_BYTES;
}

/* The id a guest had before, told by the client or its cookie, or a new one: 128
 * random bits, so that nobody can guess another guest's. */
static char *
ident_guest_id(const struct ident_claim *c)
{
	uint8_t random[IDENT_GUEST_BYTES];
	struct buf hex = BUF_INIT(0);
	struct json v;
	struct str id;

	if (ident_field(c, "guest_id", &v) && json_str(v, &id) && ident_is_guest_id(id))
		return mem_str(id);
	if (ident_is_guest_id(c->guest_id))
		return mem_str(c->guest_id);
	crypt_random(random, sizeof random);
	crypt_hex(&hex, random, sizeof random);
	return buf_take(&hex);
}

static enum err
ident_guest(const struct ident_rules *r, const struct ident_claim *c, struct ident *out)
{
	if (!c->guest_ok)
		return ERR_NOT_FOUND;
	return ident_fill(r, out, "guest", ident_guest_id(c), NULL, SEC_NONE);
}

/* `token` stands first: proof is looked at before anything that only claims. */
static const struct ident_method ident_methods[] = {
	{ "token", ident_token },
	{ "testcase_auth", ident_testcase },
	{ "local_storage", ident_local_storage },
	{ "chromebook", ident_chromebook },
	{ "hash_identify", ident_hash },
	{ "guest", ident_guest },
};
#define IDENT_METHODS (sizeof ident_methods / sizeof *ident_methods)
_Static_assert(IDENT_METHODS <= IDENT_METHODS_MAX, "room for every method");

/* ---- the roster's id ---- */

static const struct roster_student *
ident_student(const struct roster *roster, const struct ident *i, struct str shown)
{
	const struct roster_student *s = roster_identify(roster, shown);

	if (s == NULL)
		s = roster_identify(roster, str_of(i->user_id));
	if (s == NULL && i->email != NULL)
		s = roster_identify(roster, str_of(i->email));
	return s;
}

/* The id under which the student's events are kept. Guests are nobody's. */
static char *
ident_canonical(const struct roster *roster, const struct ident *i)
{
	struct str shown = str_of(i->shown);
	size_t mark = str_starts(shown, IDENT_UNVERIFIED) ? sizeof IDENT_UNVERIFIED - 1 : 0;
	const struct roster_student *s = NULL;

	if (roster != NULL && i->sec != SEC_NONE && roster_student(roster, shown) == NULL)
		s = ident_student(roster, i, (struct str){ shown.p + mark, shown.n - mark });
	if (s == NULL || strlen(s->id) + mark > IDENT_ID_MAX)
		return mem_strdup(i->shown);
	return mem_printf("%s%s", mark > 0 ? IDENT_UNVERIFIED : "", s->id);
}

enum err
ident_find(const struct ident_rules *r, const struct ident_claim *c, struct ident *out)
{
	enum err e = ERR_NOT_FOUND;

	for (size_t i = 0; i < r->n_methods && e == ERR_NOT_FOUND; i++)
		e = r->methods[i]->find(r, c, out);
	if (e == ERR_OK)
		out->safe_user_id = ident_canonical(c->roster, out);
	return e;
}

enum err
ident_recheck(const struct ident_rules *r, const struct ident_claim *c, const char *safe_user_id)
{
	struct ident other = { 0 };
	bool same = true;

	if (r->token_key != NULL && ident_token(r, c, &other) == ERR_OK) {
		other.safe_user_id = ident_canonical(c->roster, &other);
		same = strcmp(other.safe_user_id, safe_user_id) == 0;
	}
	ident_free(&other);
	return same ? ERR_OK : ERR_IDENTITY_CHANGED;
}

bool
ident_still_fits(const struct ident_rules *r, const struct roster *roster, const struct ident *i)
{
	bool proved = strcmp(i->providence, "token") == 0;
	bool marked = str_starts(str_of(i->shown), IDENT_UNVERIFIED);
	char *now = ident_canonical(roster, i);
	bool same = strcmp(now, i->safe_user_id) == 0;

	mem_free(now);
	return same && (proved || marked) == (r->token_key != NULL);
}

/* ---- rules ---- */

static bool
ident_rules_has(const struct ident_rules *r, const struct ident_method *m)
{
	for (size_t i = 0; i < r->n_methods; i++)
		if (r->methods[i] == m)
			return true;
	return false;
}

static bool
ident_unknown_method(const char *name, char **why)
{
	struct buf known = BUF_INIT(0);

	for (size_t i = 0; i < IDENT_METHODS; i++)
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", ident_methods[i].name);
	*why = mem_printf("identity method \"%s\" is not known, expected some of %.*s", name,
	    STR_ARG(buf_view(&known)));
	buf_free(&known);
	return false;
}

static bool
ident_rules_add(struct ident_rules *r, const char *name, char **why)
{
	for (size_t i = 0; i < IDENT_METHODS; i++) {
		const struct ident_method *m = &ident_methods[i];

		if (strcmp(m->name, name) != 0)
			continue;
		if (!ident_rules_has(r, m))
			r->methods[r->n_methods++] = m;
		return true;
	}
	return ident_unknown_method(name, why);
}

static bool
ident_rules_methods(struct ident_rules *r, const struct conf *c, char **why)
{
	for (size_t i = 0; i < c->methods.n; i++)
		if (strcmp(c->methods.v[i], "token") == 0 && !ident_rules_add(r, "token", why))
			return false;
	for (size_t i = 0; i < c->methods.n; i++)
		if (!ident_rules_add(r, c->methods.v[i], why))
			return false;
	return true;
}

static bool
ident_rules_key(struct ident_rules *r, const struct conf *c, char **why)
{
	if (!ident_rules_has(r, &ident_methods[0]))
		return true;
	if (c->token_key_file == NULL || c->token_key_file[0] == '\0') {
		*why = mem_strdup("identity method \"token\" needs token_key_file, the file with "
		    "the key that signs the tokens");
		return false;
	}
	r->token_key = crypt_secret_read(c->token_key_file, why);
	return r->token_key != NULL;
}

/* One id a line, "ls-<user_tag>"; blank lines and '#' lines are left out. */
static bool
ident_rules_lines(struct ident_rules *r, const char *path, struct str text, char **why)
{
	struct textfile_lines it = textfile_lines(text);

	while (textfile_next(&it)) {
		struct str line = it.line;

		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (line.n > IDENT_ID_MAX || textfile_bad_utf8(line) < line.n) {
			*why = mem_printf("%s:%zu: not a user id, expected at most %d bytes of UTF-8", path,
			    it.number, IDENT_ID_MAX);
			return false;
		}
		map_put(r->users, line, r);
	}
	return true;
}

static bool
ident_rules_users(struct ident_rules *r, const struct conf *c, char **why)
{
	struct buf text = BUF_INIT(0);
	bool ok;

	r->users = map_new();
	if (c->user_file == NULL || c->user_file[0] == '\0')
		return true;
	ok = textfile_read(c->user_file, IDENT_USER_FILE_MAX, &text, why) == ERR_OK &&
	    ident_rules_lines(r, c->user_file, buf_view(&text), why);
	buf_free(&text);
	return ok;
}

struct ident_rules *
ident_rules_new(const struct conf *c, char **why)
{
	struct ident_rules *r;

	MEM_NEW(r);
	r->allow_guest = c->allow_guest;
	if (ident_rules_methods(r, c, why) && ident_rules_key(r, c, why) &&
	    ident_rules_users(r, c, why))
		return r;
	ident_rules_free(r);
	return NULL;
}

void
ident_rules_free(struct ident_rules *r)
{
	if (r == NULL)
		return;
	if (r->token_key != NULL)
		mem_wipe(r->token_key, strlen(r->token_key));
	mem_free(r->token_key);
	map_free(r->users, NULL);
	mem_free(r);
}
