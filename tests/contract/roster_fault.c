/* SPDX-License-Identifier: MIT */
/* See roster_fault.h. */
#include "tests/contract/roster_fault.h"

#include <pthread.h>

#include "base/mem.h"
#include "state/roster.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enum roster_fault fault;
static size_t waiting, loads, under_way, most;

void
roster_fault_set(enum roster_fault how)
{
	pthread_mutex_lock(&lock);
	fault = how;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static size_t
read_locked(const size_t *n)
{
	size_t is;

	pthread_mutex_lock(&lock);
	is = *n;
	pthread_mutex_unlock(&lock);
	return is;
}

size_t
roster_fault_waiting(void)
{
	return read_locked(&waiting);
}

size_t
roster_fault_loads(void)
{
	return read_locked(&loads);
}

size_t
roster_fault_most(void)
{
	return read_locked(&most);
}

static void
begin(void)
{
	pthread_mutex_lock(&lock);
	loads++;
	under_way++;
	most = under_way > most ? under_way : most;
	pthread_mutex_unlock(&lock);
}

/* Waits while loads are late; the fault that then counts. */
static enum roster_fault
end(void)
{
	enum roster_fault how;

	pthread_mutex_lock(&lock);
	waiting++;
	while (fault == ROSTER_FAULT_LATE)
		pthread_cond_wait(&changed, &lock);
	waiting--;
	under_way--;
	how = fault;
	pthread_mutex_unlock(&lock);
	return how;
}

struct roster *__real_roster_load(const char *backend, const struct roster_options *o, char **why);
struct roster *__wrap_roster_load(const char *backend, const struct roster_options *o, char **why);

struct roster *
__wrap_roster_load(const char *backend, const struct roster_options *o, char **why)
{
	struct roster *r;

	begin();
	r = __real_roster_load(backend, o, why);
	if (end() != ROSTER_FAULT_FAIL || r == NULL)
		return r;
	roster_free(r);
	*why = mem_strdup(ROSTER_FAULT_WHY);
	return NULL;
}
