/* SPDX-License-Identifier: MIT */
/* peers: how many connections each address has, and which addresses are
 * proxies whose word about the client's address counts. */
#ifndef LECTERN_WEB_PEERS_H
#define LECTERN_WEB_PEERS_H

#include <netinet/in.h>

#include "base/conf.h"
#include "base/str.h"

struct peers;

/* One address with at least one connection. */
struct peer {
	char address[INET6_ADDRSTRLEN];
	size_t n;
};

struct peers *peers_new(void);
void peers_free(struct peers *ps);
size_t peers_count(const struct peers *ps);

/* Counts one more connection of this address, and one less. */
struct peer *peer_join(struct peers *ps, const char *address);
void peer_leave(struct peers *ps, struct peer *p);

/* Writes an address in its one canonical form (RFC 5952); IPv4 inside IPv6
 * reads as IPv4. false when it is none. */
bool peer_canonical(struct str text, char out[INET6_ADDRSTRLEN]);
bool peer_of_socket(const struct sockaddr *sa, char out[INET6_ADDRSTRLEN]);

bool peer_is_loopback(const char *address);

/* Whether conf trusted_proxies has this canonical address. */
bool peer_is_proxy(const struct conf *c, const char *address);

#endif
