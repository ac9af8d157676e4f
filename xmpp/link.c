/* SPDX-License-Identifier: MIT */
/* link: the states of one component stream. One conn at a time, one timer:
 * before an attempt it waits, during one it is the deadline, while up it
 * watches for silence. */
#include "xmpp/link.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

#include "base/conn.h"
#include "base/crypt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "xmpp/link_rival.h"
#include "xmpp/stanza.h"

#define LINK_STOP_MS 2000  /* longest wait for the server's </stream:stream> */
#define LINK_DETAIL_MAX 256
#define LINK_ASK_PINGS 8     /* one of them reaches a rival, but for one case in 256 */
#define LINK_ASK_MS 1000     /* asked around again after */

enum link_step {
	STEP_IDLE,
	STEP_WAIT,
	STEP_CONNECT,
	STEP_HEADER,
	STEP_HANDSHAKE,
	STEP_UP,
	STEP_CLOSE
};

struct link {
	struct loop *loop;
	struct link_options o; /* strings owned */
	char *secret;
	const struct link_ops *ops;
	void *arg;

	enum link_step step;
	enum link_state state, said;
	char detail[LINK_DETAIL_MAX], said_detail[LINK_DETAIL_MAX];
	struct conn *conn;
	struct xml_reader *reader, *spent; /* spent: freed once its feed has returned */
	bool feeding;
	struct buf out;       /* leaves at the end of the turn */
	size_t writing;       /* bytes given to conn and not yet written */
	bool bulk_waits;      /* queue was over LINK_QUEUE_BULK */
	struct loop_timer *timer;
	struct loop_hook *hook;

	unsigned tries, conflicts;
	uint64_t up_since;
	bool heard, pinged;   /* since the last look at the timer */
	struct rival rival;
	struct loop_timer *ask; /* armed: asked around a moment ago */
	bool has_rival, said_rival;

	loop_cb *stopped_cb;
	void *stopped_arg;
};

static const struct {
	const char *name, *text;
} link_states[] = {
#define LINK_ROW(sym, name, text) { name, text },
	LINK_MAP(LINK_ROW)
#undef LINK_ROW
};

const char *
link_state_name(enum link_state s)
{
	return link_states[s].name;
}

const char *
link_state_text(enum link_state s)
{
	return link_states[s].text;
}

bool
link_has_rival(const struct link *l)
{
	return l->has_rival;
}

const char *
link_jid(const struct link *l)
{
	return l->o.jid;
}

enum link_state
link_state(const struct link *l)
{
	return l->state;
}

const char *
link_detail(const struct link *l)
{
	return l->detail;
}

size_t
link_queued(const struct link *l)
{
	return l->out.len + l->writing;
}

/* ---- leaving ---- */

static void
link_drop(struct link *l)
{
	conn_free(l->conn);
	l->conn = NULL;
	if (l->feeding) {
		xml_reader_stop(l->reader);
		l->spent = l->reader;
	} else {
		xml_reader_free(l->reader);
	}
	l->reader = NULL;
	buf_free(&l->out);
	l->writing = 0;
	l->bulk_waits = false;
	l->rival.theirs[0] = '\0';
	loop_timer_stop(l->ask);
}

/* Says a state once, not at every attempt that ends in it. */
static void
link_tell(struct link *l, enum link_state s, const char *detail)
{
	l->state = s;
	snprintf(l->detail, sizeof l->detail, "%s", detail);
	if (s == l->said && strcmp(l->detail, l->said_detail) == 0)
		return;
	l->said = s;
	memcpy(l->said_detail, l->detail, sizeof l->detail);
	link_say(&l->o, s, l->detail);
}

unsigned
link_delay(enum link_state why, unsigned tries)
{
	bool slow = why == LINK_CONFLICT || why == LINK_WRONG_SECRET;

	return (unsigned)loop_backoff(slow ? LINK_RETRY_SLOW_MS : LINK_RETRY_MS, tries,
	    LINK_RETRY_MAX_MS);
}

static unsigned
link_next_delay(struct link *l, enum link_state why, bool was_up, uint64_t was_up_ms)
{
	if (was_up_ms >= LINK_STEADY_MS)
		l->tries = 0;
	else if (was_up && l->tries > LINK_FLAP_TRIES)
		l->tries = LINK_FLAP_TRIES;
	if (was_up_ms >= LINK_PEACE_MS)
		l->conflicts = 0;
	/* Two daemons with one JID must not throw each other out all the time: who
	 * was thrown out waits longer than who was not let in, which harms nobody. */
	if (why == LINK_CONFLICT && was_up)
		return (unsigned)loop_backoff(LINK_RETRY_SLOW_MS, l->conflicts++,
		    LINK_RETRY_KICKED_MAX_MS);
	return link_delay(why, why == LINK_CONFLICT ? l->conflicts++ : l->tries++);
}

static void
link_finish_stop(struct link *l)
{
	loop_cb *cb = l->stopped_cb;

	loop_timer_stop(l->timer);
	link_drop(l);
	l->step = STEP_IDLE;
	l->stopped_cb = NULL;
	if (cb != NULL)
		cb(l->stopped_arg);
}

/* The attempt or the stream is over; another one will follow. */
static void
link_lose(struct link *l, enum link_state why, const char *detail)
{
	bool was_up = l->step == STEP_UP;
	uint64_t up_ms = was_up ? loop_now_ms(l->loop) - l->up_since : 0;

	if (l->step == STEP_CLOSE) {
		link_finish_stop(l);
		return;
	}
	link_drop(l);
	l->step = STEP_WAIT;
	link_tell(l, why, detail);
	loop_timer_once(l->timer, link_next_delay(l, why, was_up, up_ms));
	if (was_up)
		l->ops->down(l->arg);
}

/* ---- writing ---- */

static void
link_flush_cb(void *arg)
{
	struct link *l = arg;

	if (link_queued(l) > LINK_QUEUE_MAX) {
		link_lose(l, LINK_OTHER, "the server does not read what it is sent");
		return;
	}
	if (l->out.len == 0 || l->writing > 0 || l->step <= STEP_CONNECT)
		return;
	l->writing = l->out.len;
	conn_send(l->conn, &l->out);
}

static void
link_written_cb(void *arg)
{
	struct link *l = arg;

	l->writing = 0;
	if (!l->bulk_waits || link_queued(l) > LINK_QUEUE_BULK / 2)
		return;
	l->bulk_waits = false;
	l->ops->room(l->arg);
}

bool
link_send(struct link *l, struct str stanza)
{
	if (l->step != STEP_UP)
		return false;
	buf_str(&l->out, stanza);
	if (link_queued(l) > LINK_QUEUE_BULK)
		l->bulk_waits = true;
	metric_add(METRIC_XMPP_OUT, 1);
	return true;
}

/* ---- reading ---- */

/* XEP-0114 §3: SHA-1 over the stream id and the secret, in hex. */
static void
link_handshake(struct link *l, const char *id)
{
	struct str pieces[] = { str_of(id), str_of(l->secret) };
	uint8_t digest[CRYPT_SHA1];

	crypt_sha1(pieces, 2, digest);
	buf_z(&l->out, "<handshake>");
	crypt_hex(&l->out, digest, sizeof digest);
	buf_z(&l->out, "</handshake>");
	l->step = STEP_HANDSHAKE;
}

static void
link_header_cb(void *arg, const struct xml *header)
{
	struct link *l = arg;
	const char *id = xml_attr(header, "id");

	if (!xml_is(header, NS_STREAM, "stream"))
		link_lose(l, LINK_OTHER, "what answers there is no XMPP server");
	else if (l->step == STEP_HEADER && id != NULL && id[0] != '\0')
		link_handshake(l, id);
	else
		l->step = STEP_HANDSHAKE; /* without an id only an error can follow */
}

/* XEP-0199 §4.3: asks the server for a sign of life. */
static void
link_ping(struct link *l)
{
	char id[RIVAL_ID_MAX];

	rival_ping_id(&l->rival, id);
	stanza_ping(&l->out, l->o.jid, l->o.server, id);
	metric_add(METRIC_XMPP_OUT, 1);
	l->pinged = true;
}

/* Where two connections are one component, some of the answers go astray: to the
 * rival, who learns of us. */
static void
link_ask_around(struct link *l)
{
	if (loop_timer_armed(l->ask))
		return;
	for (int i = 0; i < LINK_ASK_PINGS; i++)
		link_ping(l);
	loop_timer_once(l->ask, LINK_ASK_MS);
}

static void
link_is_up(struct link *l)
{
	l->step = STEP_UP;
	l->up_since = loop_now_ms(l->loop);
	l->heard = l->pinged = l->has_rival = false;
	metric_add(METRIC_XMPP_CONNECTS, 1);
	loop_timer_every(l->timer, l->o.idle_ms);
	link_tell(l, LINK_UP, "");
	link_ask_around(l);
	l->ops->up(l->arg);
}

/* RFC 6120 §4.9.3: the condition is the child that is not the text. */
static void
link_stream_error(struct link *l, const struct xml *error)
{
	const struct xml *condition = error->first;
	const struct xml *text = xml_child(error, NS_STREAM_ERRORS, "text");
	enum link_state why = LINK_OTHER;
	char detail[LINK_DETAIL_MAX];

	while (condition != NULL &&
	    (condition == text || strcmp(condition->ns, NS_STREAM_ERRORS) != 0))
		condition = condition->next;
	if (condition != NULL && strcmp(condition->name, "conflict") == 0)
		why = LINK_CONFLICT;
	else if (condition != NULL && strcmp(condition->name, "host-unknown") == 0)
		why = LINK_UNKNOWN_HOST;
	else if (condition != NULL && strcmp(condition->name, "not-authorized") == 0)
		why = LINK_WRONG_SECRET;
	snprintf(detail, sizeof detail, "%.64s%s%.160s",
	    condition ? condition->name : "stream error", text ? ": " : "",
	    text ? text->text.p : "");
	link_lose(l, why, detail);
}

/* Once more, if somebody seemed to be there. */
static void
link_ask_cb(void *arg)
{
	struct link *l = arg;

	if (l->step == STEP_UP && l->rival.theirs[0] != '\0' && !l->has_rival)
		link_ask_around(l);
}

static void
link_rival(struct link *l, enum rival_word word)
{
	if (word == RIVAL_OLDER) {
		link_lose(l, LINK_CONFLICT, "another process was connected as this component before, "
		    "and the server splits what is sent to it between the two");
		return;
	}
	if (word == RIVAL_YOUNGER && !l->said_rival)
		log_error("xmpp jid=%s host=%s port=%d: another process has connected as this component "
		    "and the server splits what is sent to it between the two; stop one of them",
		    l->o.jid, l->o.host, l->o.port);
	if (word == RIVAL_YOUNGER)
		l->has_rival = l->said_rival = true;
	link_ask_around(l);
}

/* Whether it is the answer to a ping of a link, ours or not. */
static bool
link_pong(struct link *l, const struct xml *x)
{
	const char *from = xml_attr(x, "from");
	enum rival_word word;

	if (!xml_is(x, NS_COMPONENT, "iq") || from == NULL || strcasecmp(from, l->o.server) != 0)
		return false;
	word = rival_hear(&l->rival, xml_attr(x, "id"), loop_now_ms(l->loop));
	if (word != RIVAL_NO_PONG && word != RIVAL_OURS)
		link_rival(l, word);
	return word != RIVAL_NO_PONG;
}

static void
link_stanza_cb(void *arg, const struct xml *x)
{
	struct link *l = arg;

	if (xml_is(x, NS_STREAM, "error"))
		link_stream_error(l, x);
	else if (l->step == STEP_CLOSE)
		return;
	else if (xml_is(x, NS_COMPONENT, "handshake") && l->step == STEP_HANDSHAKE)
		link_is_up(l);
	else if (l->step != STEP_UP || xml_is(x, NS_COMPONENT, "handshake"))
		link_lose(l, LINK_OTHER, "the server broke the order of the handshake");
	else if (!link_pong(l, x))
		l->ops->stanza(l->arg, x);
}

static void
link_refused_cb(void *arg, const struct xml *head)
{
	struct link *l = arg;

	if (l->step == STEP_UP)
		l->ops->refused(l->arg, head);
}

static void
link_end_cb(void *arg)
{
	link_lose(arg, LINK_OTHER, "the server closed the stream");
}

static const struct xml_reader_ops link_reader_ops = {
	.open = link_header_cb,
	.stanza = link_stanza_cb,
	.refused = link_refused_cb,
	.close = link_end_cb,
};

static void
link_bytes_cb(void *arg, struct str bytes)
{
	struct link *l = arg;
	enum xml_error e;

	l->heard = true;
	l->feeding = true;
	e = xml_reader_feed(l->reader, bytes);
	l->feeding = false;
	xml_reader_free(l->spent);
	l->spent = NULL;
	if (e != XML_OK)
		link_lose(l, LINK_OTHER, xml_error_text(e));
}

/* ---- connecting ---- */

static void
link_open_cb(void *arg)
{
	struct link *l = arg;
	struct xmlw w = xmlw_to(&l->out);

	l->step = STEP_HEADER;
	l->reader = xml_reader_new(&link_reader_ops, l);
	xmlw_open(&w, "stream:stream", NS_COMPONENT);
	xmlw_attrz(&w, "xmlns:stream", NS_STREAM);
	xmlw_attrz(&w, "to", l->o.jid);
	buf_byte(&l->out, '>'); /* it stays open */
}

static void
link_lost_cb(void *arg, bool was_open, const char *why)
{
	struct link *l = arg;

	if (!was_open)
		link_lose(l, LINK_PORT_CLOSED, why);
	else if (l->step == STEP_UP)
		link_lose(l, LINK_OTHER, why);
	else
		link_lose(l, LINK_OTHER, "the server hung up before the handshake was done");
}

static const struct conn_ops link_conn_ops = {
	.open = link_open_cb,
	.bytes = link_bytes_cb,
	.written = link_written_cb,
	.lost = link_lost_cb,
};

static void
link_connect(struct link *l)
{
	l->step = STEP_CONNECT;
	loop_timer_once(l->timer, l->o.timeout_ms);
	l->conn = conn_new(l->loop, l->o.host, l->o.port, !l->o.insecure_ok, &link_conn_ops, l);
}

static void
link_watch(struct link *l)
{
	if (!l->heard && l->pinged) {
		link_lose(l, LINK_OTHER, "the server does not answer any more");
		return;
	}
	if (l->heard)
		l->pinged = false;
	else
		link_ping(l);
	l->heard = false;
}

static void
link_timer_cb(void *arg)
{
	struct link *l = arg;

	switch (l->step) {
	case STEP_WAIT:
		link_connect(l);
		break;
	case STEP_UP:
		link_watch(l);
		break;
	case STEP_CONNECT:
		link_lose(l, LINK_PORT_CLOSED, "no connection in time");
		break;
	case STEP_CLOSE:
		link_finish_stop(l);
		break;
	default:
		link_lose(l, LINK_OTHER, "the server did not finish the handshake in time");
	}
}

/* ---- life ---- */

struct link *
link_new(struct loop *loop, const struct link_options *o, const char *secret,
    const struct link_ops *ops, void *arg)
{
	struct link *l;

	MEM_NEW(l);
	l->loop = loop;
	l->o = *o;
	l->o.host = mem_strdup(o->host);
	l->o.jid = mem_strdup(o->jid);
	l->o.server = mem_strdup(o->server);
	l->o.secret_file = mem_strdup(o->secret_file);
	l->o.timeout_ms = o->timeout_ms ? o->timeout_ms : LINK_TIMEOUT_MS;
	l->o.idle_ms = o->idle_ms ? o->idle_ms : LINK_IDLE_MS;
	l->secret = mem_strdup(secret);
	l->ops = ops;
	l->arg = arg;
	l->state = l->said = LINK_STARTING;
	l->timer = loop_timer_new(loop, link_timer_cb, l);
	l->ask = loop_timer_new(loop, link_ask_cb, l);
	rival_init(&l->rival, loop_wall_us(loop));
	l->hook = loop_before_sleep(loop, link_flush_cb, l);
	return l;
}

void
link_start(struct link *l)
{
	link_connect(l);
}

void
link_stop(struct link *l, loop_cb *cb, void *arg)
{
	bool was_up = l->step == STEP_UP;

	l->stopped_cb = cb;
	l->stopped_arg = arg;
	link_tell(l, LINK_STOPPED, "");
	if (was_up)
		buf_z(&l->out, "</stream:stream>");
	else
		link_drop(l);
	l->step = STEP_CLOSE;
	loop_timer_once(l->timer, was_up ? LINK_STOP_MS : 0);
	if (was_up)
		l->ops->down(l->arg);
}

void
link_free(struct link *l)
{
	if (l == NULL)
		return;
	assert(!l->feeding);
	link_drop(l);
	loop_timer_free(l->timer);
	loop_timer_free(l->ask);
	loop_hook_free(l->hook);
	mem_wipe(l->secret, strlen(l->secret));
	mem_free(l->secret);
	mem_free((char *)l->o.host);
	mem_free((char *)l->o.jid);
	mem_free((char *)l->o.server);
	mem_free((char *)l->o.secret_file);
	mem_free(l);
}
