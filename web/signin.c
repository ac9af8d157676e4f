/* SPDX-License-Identifier: MIT */
/* signin: the addresses under /auth/, and what clients ask before they sign in.
 * Shapes of the Learning Observer, §1.2 of its protocol. */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/jid.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "flow/audit.h"
#include "flow/hub.h"
#include "web/credentials.h"
#include "web/web_priv.h"

/* A wrong password is not told before so much time has passed: how long it took to
 * find that out would tell whether there is such a user. */
#define SIGNIN_NO_MS 1000

/* A password that is being checked. What of the request is needed for the answer is
 * copied: the bytes of its head are gone by then. */
struct signin {
	TAILQ_ENTRY(signin) link;
	struct web *web;
	struct request *request;
	struct auth_ask *ask;     /* NULL: answered, */
	struct loop_timer *timer; /* until the client may be told */
	uint64_t begun_ms;
	char *user, *network;
	char old[LOGIN_TOKEN_LEN + 1]; /* of the session that this browser has, or "" */
	bool https;
};

/* ---- what is written down ---- */

static bool
signin_in_list(const struct conf_list *l, const char *user)
{
	struct buf jid = BUF_INIT(0);
	bool is = false;

	for (size_t i = 0; i < l->n && !is; i++) {
		buf_clear(&jid);
		is = jid_bare(str_of(l->v[i]), &jid) && str_is(buf_view(&jid), user);
	}
	buf_free(&jid);
	return is;
}

/* What was typed for a name may be a password: only who is somebody here is named. */
static bool
signin_is_somebody(const struct web *w, const char *user)
{
	const struct roster *r = hub_roster(w->hub);
	bool is = roster_person(r, str_of(user)) != NULL || roster_by_jid(r, str_of(user)) != NULL ||
	    signin_in_list(&w->conf->auth_admins, user);

	for (size_t i = 0; i < w->conf->n_readers && !is; i++) {
		char *reader[] = { w->conf->readers[i].jid };

		is = signin_in_list(&(struct conf_list){ reader, 1 }, user);
	}
	return is;
}

/* by: the backend that vouched; why: of a refusal. */
static void
signin_audit(const struct request *r, const char *what, const char *user, const char *by,
    const char *why)
{
	bool named = why == NULL || signin_is_somebody(r->web, user);
	const struct audit_sign_in line = { .what = what, .user = str_of(named ? user : ""),
		.door = WEB_DOOR, .by = by, .why = why, .peer = r->peer->address };

	audit_sign_in(r->web->audit, &line);
}

/* ---- the answer ---- */

static void
signin_free(struct signin *x)
{
	TAILQ_REMOVE(&x->web->signins, x, link);
	x->request->signin = NULL;
	loop_timer_free(x->timer);
	mem_wipe(x->old, sizeof x->old);
	mem_free(x->user);
	mem_free(x->network);
	mem_free(x);
}

void
signin_forget(struct signin *x)
{
	if (x->ask != NULL)
		auth_drop(x->ask);
	signin_free(x);
}

void
signin_give_up(struct web *w)
{
	struct signin *x;

	while ((x = TAILQ_FIRST(&w->signins)) != NULL) {
		struct request *r = x->request;

		signin_forget(x);
		request_refuse(r, 503, "Try again.");
	}
}

static void
signin_refuse_cb(void *arg)
{
	struct signin *x = arg;
	struct request *r = x->request;

	signin_free(x);
	request_answer(r, "application/json", "", STR_LIT("{\"status\":\"unauthorized\"}\n"));
}

/* Counted and written down at once: who does not wait for the answer knows it too. */
static void
signin_refuse(struct signin *x)
{
	uint64_t took = loop_now_ms(x->web->loop) - x->begun_ms;

	metric_add(METRIC_SIGNIN_REFUSED, 1);
	log_info("sign-in refused peer=%s", x->request->peer->address);
	signin_audit(x->request, "sign_in_refused", x->user, NULL, "password");
	loop_timer_once(x->timer, took < SIGNIN_NO_MS ? SIGNIN_NO_MS - took : 0);
}

static char *
signin_cookie(bool https, const char *token, long seconds)
{
	return mem_printf("Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%ld%s\r\n",
	    login_cookie(https), token, seconds, https ? "; Secure" : "");
}

/* Also takes the place of the session that this browser may have. */
static void
signin_accept(const struct signin *x, const struct auth_proof *proof)
{
	struct request *r = x->request;
	char token[LOGIN_TOKEN_LEN + 1], *fields;
	struct login *login = login_find(r->web->logins, str_of(x->old));

	if (login != NULL)
		login_end(login);
	login = login_begin(r->web->logins, str_of(x->user), proof, token);
	if (login == NULL) {
		request_refuse(r, 503, "There are too many sessions; try again later.");
		return;
	}
	metric_add(METRIC_SIGNIN, 1);
	signin_audit(r, "signed_in", x->user, proof->backend, NULL);
	log_info("signed in peer=%s by=%s", r->peer->address, proof->backend);
	fields = signin_cookie(x->https, token, login_left(login));
	request_answer(r, "application/json", fields, STR_LIT("{\"status\":\"authorized\"}\n"));
	mem_wipe(token, sizeof token);
	mem_wipe(fields, strlen(fields));
	mem_free(fields);
}

/* Only wrong passwords count. */
static void
signin_cb(void *arg, enum auth_verdict v, const struct auth_proof *proof)
{
	struct signin *x = arg;
	struct web *w = x->web;

	x->ask = NULL;
	if (v == AUTH_NO) {
		signin_refuse(x);
		return;
	}
	throttle_give_back(w->user_tries, str_of(x->user));
	throttle_give_back(w->network_tries, str_of(x->network));
	if (v == AUTH_YES)
		signin_accept(x, proof);
	else
		request_refuse(x->request, 503, "Passwords cannot be checked now; try again later.");
	signin_free(x);
}

/* ---- the question ---- */

/* An address, or of IPv6 the network that one subscriber commonly has (RFC 6177): 56
 * bits, as 64 would give one home 256 times the tries. */
static char *
signin_network(const char *address)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr a;

	if (inet_pton(AF_INET6, address, &a) != 1)
		return mem_strdup(address);
	memset(a.s6_addr + 7, 0, 9);
	return mem_strdup(inet_ntop(AF_INET6, &a, text, sizeof text));
}

static bool
signin_may_try(struct web *w, const struct signin *x)
{
	uint64_t now = loop_now_ms(w->loop);

	if (!throttle_take(w->network_tries, str_of(x->network), now))
		return false;
	if (throttle_take(w->user_tries, str_of(x->user), now))
		return true;
	throttle_give_back(w->network_tries, str_of(x->network));
	return false;
}

/* A name that cannot be anybody's is refused like one that is nobody's. */
static struct signin *
signin_new(struct request *r, struct str typed)
{
	struct web *w = r->web;
	struct buf user = BUF_INIT(0);
	struct str old;
	struct signin *x;

	MEM_NEW(x);
	x->web = w;
	x->request = r;
	x->timer = loop_timer_new(w->loop, signin_refuse_cb, x);
	x->begun_ms = loop_now_ms(w->loop);
	if (!auth_user(w->conf, typed, &user))
		buf_z(&user, "?");
	x->user = mem_str(buf_view(&user));
	buf_free(&user);
	x->network = signin_network(r->peer->address);
	x->https = request_is_https(r);
	if (request_cookie(r, &old) && old.n == LOGIN_TOKEN_LEN)
		memcpy(x->old, old.p, old.n);
	TAILQ_INSERT_TAIL(&w->signins, x, link);
	r->signin = x;
	return x;
}

static void
signin_ask(struct request *r, const struct credentials *c)
{
	struct web *w = r->web;
	struct signin *x = signin_new(r, buf_view(&c->user));

	if (signin_may_try(w, x)) {
		x->ask = auth_check(w->auth, str_of(x->user), buf_view(&c->password), signin_cb, x);
		return;
	}
	signin_audit(r, "sign_in_refused", x->user, NULL, "too many");
	signin_free(x);
	request_refuse(r, 429, "Too many wrong passwords; try again in a minute.");
}

void
signin_password(struct request *r, struct str body)
{
	struct credentials c = { BUF_INIT(0), BUF_INIT(0) };
	struct str type = { NULL, 0 };
	const char *why = "";
	int status;

	if (r->web->auth == NULL) {
		request_refuse(r, 404, "Nobody can sign in here.");
		return;
	}
	if (!request_is_private(r)) {
		request_refuse(r, 403, "Passwords are taken over https only.");
		return;
	}
	if (!request_origin_known(r)) {
		request_refuse(r, 403, "Pages of this origin may not sign in here.");
		return;
	}
	http_get(&r->head, "Content-Type", &type);
	status = credentials_read(r->web->doc, type, body, &c, &why);
	if (status == 200)
		signin_ask(r, &c);
	else
		request_refuse(r, status, why);
	credentials_wipe(&c);
	json_doc_trim(r->web->doc, 0);
}

/* ---- out again ---- */

/* A link of another page brings the cookie along, but not its origin: then the
 * browser says where it came from. */
static bool
signin_is_ours(const struct request *r)
{
	struct str site;

	if (str_is(http_str(&r->head, r->head.method), "POST"))
		return request_origin_known(r);
	return !http_get(&r->head, "Sec-Fetch-Site", &site) || !str_is(site, "cross-site");
}

void
signin_logout(struct request *r, struct str body)
{
	char *fields;

	(void)body;
	if (!signin_is_ours(r)) {
		request_refuse(r, 403, "Pages of this origin may not sign out here.");
		return;
	}
	if (r->login != NULL) {
		signin_audit(r, "signed_out", login_user(r->login), NULL, NULL);
		login_end(r->login);
	}
	r->login = NULL;
	fields = signin_cookie(request_is_https(r), "", 0);
	request_answer(r, "application/json", fields, STR_LIT("{\"status\":\"unauthorized\"}\n"));
	mem_free(fields);
}

/* ---- who am I, and what is here ---- */

/* The most that the user is, and everything he is. */
static void
signin_roles(const struct web *w, const char *user, struct jsonw *out)
{
	const struct roster_person *p = roster_person(hub_roster(w->hub), str_of(user));
	const struct {
		const char *name;
		bool is;
	} roles[] = {
		{ "admin", signin_in_list(&w->conf->auth_admins, user) },
		{ "teacher", p != NULL && p->n_classes > 0 },
		{ "student", roster_by_jid(hub_roster(w->hub), str_of(user)) != NULL },
		{ "guardian", p != NULL && p->n_wards > 0 },
	};
	const char *most = "guest";

	jsonw_key(out, "roles");
	jsonw_array(out);
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
		if (roles[i].is)
			jsonw_z(out, roles[i].name);
	jsonw_array_end(out);
	for (size_t i = sizeof roles / sizeof *roles; i > 0; i--)
		if (roles[i - 1].is)
			most = roles[i - 1].name;
	jsonw_kz(out, "role", most);
}

static void
signin_names(const struct roster *r, const char *user, struct jsonw *out)
{
	const struct roster_student *s = roster_by_jid(r, str_of(user));
	const struct roster_person *p = roster_person(r, str_of(user));

	jsonw_kz(out, "name", s != NULL ? s->name : p != NULL ? p->name : "");
	jsonw_kz(out, "given_name", s != NULL ? s->given : p != NULL ? p->given : NULL);
	jsonw_kz(out, "family_name", s != NULL ? s->family : p != NULL ? p->family : NULL);
	jsonw_kz(out, "email", s != NULL ? s->email : p != NULL ? p->email : NULL);
}

void
signin_userinfo(struct request *r, struct str body)
{
	struct buf json = BUF_INIT(0);
	struct jsonw out = jsonw_to(&json);

	(void)body;
	if (r->login == NULL) {
		jsonw_null(&out);
	} else {
		jsonw_object(&out);
		jsonw_kz(&out, "user_id", login_user(r->login));
		signin_names(hub_roster(r->web->hub), login_user(r->login), &out);
		jsonw_kz(&out, "picture", "/auth/default-avatar.svg");
		jsonw_kbool(&out, "authorized", true);
		jsonw_kint(&out, "session_s", login_left(r->login));
		signin_roles(r->web, login_user(r->login), &out);
		jsonw_object_end(&out);
	}
	request_answer_json(r, &json);
}

void
signin_config(struct request *r, struct str body)
{
	static const char *const others[] = { "google_oauth", "http_basic_auth", "lti_auth" };
	struct buf json = BUF_INIT(0);
	struct jsonw out = jsonw_to(&json);

	(void)body;
	jsonw_object(&out);
	jsonw_kz(&out, "mode", "server");
	jsonw_key(&out, "modules");
	jsonw_object(&out);
	jsonw_object_end(&out);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		jsonw_kbool(&out, others[i], false);
	jsonw_kbool(&out, "password_auth", r->web->auth != NULL);
	jsonw_key(&out, "theme");
	jsonw_object(&out);
	jsonw_kz(&out, "server_name", r->web->conf->organisation);
	jsonw_object_end(&out);
	jsonw_kz(&out, "feed", "/wsapi/feed");
	jsonw_object_end(&out);
	request_answer_json(r, &json);
}

void
signin_avatar(struct request *r, struct str body)
{
	(void)body;
	request_answer(r, "image/svg+xml", "", STR_LIT(
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\">"
	    "<rect width=\"64\" height=\"64\" fill=\"#d6dbdf\"/>"
	    "<circle cx=\"32\" cy=\"24\" r=\"11\" fill=\"#85929e\"/>"
	    "<path d=\"M10 60a22 20 0 0 1 44 0z\" fill=\"#85929e\"/></svg>\n"));
}
