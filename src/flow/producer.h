/* SPDX-License-Identifier: MIT */
/* producer: who folds events in a process of its own and publishes the states:
 * the producers of the configuration, and components with a process of their
 * own. Says which reducers the engine has, and whose they are. Keeps a few facts
 * for the status. */
#ifndef LECTERN_FLOW_PRODUCER_H
#define LECTERN_FLOW_PRODUCER_H

#include "base/conf.h"
#include "flow/engine.h"

#define PRODUCER_JID_MAX 2047  /* RFC 7622 §3.1: without a resource */
#define PRODUCER_ERROR_MAX 256

struct producer {
	const char *name;          /* its title in the configuration */
	bool component;            /* it is a component of ours in its own process */
	char *jid;                 /* canonical, bare: a domain, or a person's */
	const struct conf_list *sources; /* whose events it gets; empty: all */
	struct reducer **reducers; /* that it publishes; ends with NULL */
	/* for the status */
	uint64_t pages, events;    /* handed out */
	uint64_t published;        /* states */
	uint64_t newest;           /* seq of the last event for it that is durable */
	char error[PRODUCER_ERROR_MAX]; /* its last one, or "" */
};

struct producers;

/* Borrows the configuration. NULL with *why. */
struct producers *producers_new(const struct conf *c, char **why);
void producers_free(struct producers *p); /* NULL is allowed; after the engine */

/* For the engine: those of all components and those of producers; ends with NULL. */
const struct reducer *const *producers_reducers(const struct producers *p);

size_t producers_count(const struct producers *p);
struct producer *producers_at(const struct producers *p, size_t i);
/* Whose JID this is, its resource not looked at; or NULL. */
struct producer *producers_find(const struct producers *p, const char *jid);

/* Whether it gets events of this source. */
bool producer_takes(const struct producer *p, struct str source);
/* The reducer of this id, if it is its own; or NULL. */
const struct reducer *producer_reducer(const struct producer *p, struct str id);
void producer_fail(struct producer *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Writes an array, an object for each. */
void producers_status(const struct producers *p, const struct engine *e, struct jsonw *w);

/* Whether a component's section names the reducer "component.name"; an empty list
 * names all. The component part may be left out. */
bool producer_lists(const struct conf_list *list, const char *id);
/* Whether the section is that of a component in a process of its own. */
bool producer_is_own(const struct conf_component *c);
/* The non-internal reducers of such a component into out[COMPONENT_REDUCERS_MAX + 1],
 * ending with NULL; how many. */
size_t producer_component(const struct conf_component *c, const struct reducer **out);

#endif
