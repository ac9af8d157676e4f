/* SPDX-License-Identifier: MIT */
/* peers: counts connections by address. */
#include "web/peers.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"

struct peers {
	struct map *by_address;
};

struct peers *
peers_new(void)
{
	struct peers *ps;

	MEM_NEW(ps);
	ps->by_address = map_new();
	return ps;
}

void
peers_free(struct peers *ps)
{
	if (ps == NULL)
		return;
	map_free(ps->by_address, mem_free);
	mem_free(ps);
}

size_t
peers_count(const struct peers *ps)
{
	return map_size(ps->by_address);
}

struct peer *
peer_join(struct peers *ps, const char *address)
{
	struct peer *p = map_get(ps->by_address, str_of(address));

	if (p == NULL) {
		MEM_NEW(p);
		snprintf(p->address, sizeof p->address, "%s", address);
		map_put(ps->by_address, str_of(p->address), p);
	}
	p->n++;
	return p;
}

void
peer_leave(struct peers *ps, struct peer *p)
{
	if (p == NULL || --p->n > 0)
		return;
	map_remove(ps->by_address, str_of(p->address));
	mem_free(p);
}

static bool
peer_write6(const struct in6_addr *a, char out[INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(a))
		return inet_ntop(AF_INET, &a->s6_addr[12], out, INET6_ADDRSTRLEN) != NULL;
	return inet_ntop(AF_INET6, a, out, INET6_ADDRSTRLEN) != NULL;
}

bool
peer_canonical(struct str text, char out[INET6_ADDRSTRLEN])
{
	char z[INET6_ADDRSTRLEN];
	struct in_addr a4;
	struct in6_addr a6;

	if (text.n == 0 || text.n >= sizeof z || memchr(text.p, '\0', text.n) != NULL)
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET, z, &a4) == 1)
		return inet_ntop(AF_INET, &a4, out, INET6_ADDRSTRLEN) != NULL;
	return inet_pton(AF_INET6, z, &a6) == 1 && peer_write6(&a6, out);
}

bool
peer_of_socket(const struct sockaddr *sa, char out[INET6_ADDRSTRLEN])
{
	if (sa->sa_family == AF_INET6)
		return peer_write6(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, out);
	return sa->sa_family == AF_INET && inet_ntop(AF_INET,
	    &((const struct sockaddr_in *)(const void *)sa)->sin_addr, out, INET6_ADDRSTRLEN) != NULL;
}

bool
peer_is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

bool
peer_is_proxy(const struct conf *c, const char *address)
{
	char proxy[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < c->trusted_proxies.n; i++) {
		if (peer_canonical(str_of(c->trusted_proxies.v[i]), proxy) &&
		    strcmp(proxy, address) == 0)
			return true;
	}
	return false;
}
