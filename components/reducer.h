/* SPDX-License-Identifier: MIT */
/* reducer: the one interface of components. A reducer is a pure function
 * (state, event) -> state, declared once by a const descriptor: no clock but
 * the event's server time, no I/O, no randomness, no globals. Components see
 * this header, JSON and nothing else. */
#ifndef LECTERN_COMPONENTS_REDUCER_H
#define LECTERN_COMPONENTS_REDUCER_H

#include "base/json.h"
#include "base/jsonw.h"
#include "base/str.h"

struct event;

/* ---- what a reducer may ask of an event ---- */

struct str event_name(const struct event *e);   /* "google_docs_save" */
struct str event_source(const struct event *e); /* "org.mitros.writing_analytics" */
struct str event_student(const struct event *e); /* safe_user_id */
double event_time(const struct event *e);       /* server time, seconds since 1970 */
int64_t event_time_us(const struct event *e);
/* The document the event is about, as the adapter found it; false if none. */
bool event_doc_id(const struct event *e, struct str *out);
/* A field by dotted path, locked fields laid over the event's own. The event
 * is parsed on the first call. */
bool event_get(const struct event *e, const char *path, struct json *out);
/* The JSON text of a top-level field, byte for byte as the client wrote it. */
bool event_raw(const struct event *e, const char *key, struct str *out);

/* ---- the descriptor ---- */

enum reduced {
	REDUCED_SAME,    /* the state is as it was; nothing is published */
	REDUCED_CHANGED,
	REDUCED_FAILED   /* this event cannot be reduced; the state stays */
};

#define REDUCER_ABI 1u
#define REDUCER_SCOPE_MAX 4
#define REDUCER_STATE_MAX 4096 /* bytes of a state struct */

/* Carries a client's own data, not something the student did: goes only to
 * reducers that name it in `events`. */
#define EVENT_SAVE_BLOB "save_blob"

struct reducer {
	uint32_t abi;       /* REDUCER_ABI */
	uint32_t abi_size;  /* sizeof(struct reducer) */
	const char *id;     /* "writing.time_on_task": component "." name */
	const char *key_id; /* name in KVS keys; NULL: id. Learning Observer's name where
	                     * the state is the same as one of its own. */
	const char *source; /* exact source, or NULL for any */
	const char *events[4]; /* exact event names, or none for all */
	/* Event fields beside the student, sorted. Only events that have them all,
	 * each a string or an integer, are reduced. */
	const char *scope[REDUCER_SCOPE_MAX + 1];
	unsigned version;   /* of the state's JSON, part of the datatype URN */
	bool internal;      /* kept but never published */
	/* Its states are published by a producer, another process, and only kept
	 * here: there is no reduce. src/flow/external.h makes such descriptors. */
	bool external;
	size_t size;        /* of the state struct */
	/* The null state, in cleared memory. NULL: all bits zero. */
	void (*init)(void *state);
	/* Works on a copy of the struct: when it fails, the copy is dropped. A
	 * state that owns memory (fini set) works in place and must fail only
	 * before it changes anything. */
	enum reduced (*reduce)(void *state, const struct event *e);
	/* Writes one JSON value; the same state always gives the same bytes. */
	void (*encode)(const void *state, struct jsonw *w);
	/* Into a state just initialised; false if the value does not fit. */
	bool (*decode)(void *state, struct json v);
	/* In place of decode, for a state that must keep the text as it is: what
	 * encode wrote, byte for byte. */
	bool (*decode_text)(void *state, struct str json);
	void (*fini)(void *state); /* frees what the state owns; NULL: nothing */
};

/* Opens every descriptor: REDUCER_HEADER, .id = ... */
#define REDUCER_HEADER .abi = REDUCER_ABI, .abi_size = sizeof(struct reducer)

/* ---- the table of all components (components/table.c) ---- */

struct component {
	const char *name;                     /* "writing" */
	const char *title;                    /* for people */
	const struct reducer *const *reducers; /* ends with NULL */
};

extern const struct component *const component_table[]; /* ends with NULL */

#define COMPONENT_REDUCERS_MAX 256
/* The reducers of all components one after the other; ends with NULL. */
const struct reducer *const *component_reducers(void);
/* A copy of a list that ends with NULL; mem_free it. */
const struct reducer **reducers_copy(const struct reducer *const *reducers);

#endif
