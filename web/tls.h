/* SPDX-License-Identifier: MIT */
/* tls: the certificate that new connections are shown; it can be changed while
 * running, which libwebsockets cannot. */
#ifndef LECTERN_WEB_TLS_H
#define LECTERN_WEB_TLS_H

#include <stdbool.h>

struct tls;

/* Reads certificate chain and key (PEM). NULL with *why (mem_free it): which
 * file, and what is wrong with it. */
struct tls *tls_new(const char *certificate, const char *key, char **why);
void tls_free(struct tls *t); /* NULL is allowed; the SSL_CTX must be gone */

/* Reads both anew, for the connections to come; those that are open live on.
 * When the files are not good nothing changes and *why says so. */
bool tls_reload(struct tls *t, const char *certificate, const char *key, char **why);

/* Lets an SSL_CTX take its certificate from here, with our settings. */
void tls_attach(struct tls *t, void *ssl_ctx);

/* Tells the peer of an SSL connection that we send nothing more. */
void tls_goodbye(void *ssl);

#endif
