/* SPDX-License-Identifier: MIT */
/* tls: certificate and key. Together with server.c the only place in web/ that
 * knows of TLS. */
#include "web/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/mem.h"

struct tls {
	SSL_CTX *files; /* holds what was read last; nothing runs on it */
};

static SSL_CTX *
tls_failed(SSL_CTX *ctx, const char *what, const char *file, char **why)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	*why = mem_printf("%s %s: %s", what, file, reason ? reason : "cannot be used");
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return NULL;
}

/* A daemon has nobody to ask. */
static int
tls_no_password_cb(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

static SSL_CTX *
tls_read(const char *certificate, const char *key, char **why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	ERR_clear_error();
	if (ctx == NULL)
		return tls_failed(ctx, "certificate", certificate, why);
	SSL_CTX_set_default_passwd_cb(ctx, tls_no_password_cb);
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
		return tls_failed(ctx, "certificate", certificate, why);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return tls_failed(ctx, "key", key, why);
	return ctx;
}

struct tls *
tls_new(const char *certificate, const char *key, char **why)
{
	SSL_CTX *files = tls_read(certificate, key, why);
	struct tls *t;

	if (files == NULL)
		return NULL;
	MEM_NEW(t);
	t->files = files;
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->files);
	mem_free(t);
}

bool
tls_reload(struct tls *t, const char *certificate, const char *key, char **why)
{
	SSL_CTX *files = tls_read(certificate, key, why);

	if (files == NULL)
		return false;
	SSL_CTX_free(t->files);
	t->files = files;
	return true;
}

/* In every handshake, after the client's hello: whatever libwebsockets gave
 * this connection is replaced, also when the type of the key changed. */
static int
tls_certificate_cb(SSL *ssl, void *arg)
{
	struct tls *t = arg;
	STACK_OF(X509) *chain = NULL;

	SSL_certs_clear(ssl);
	SSL_CTX_get0_chain_certs(t->files, &chain);
	return SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(t->files),
	    SSL_CTX_get0_privatekey(t->files), chain, 1);
}

/* Buffers of idle connections are given back: they would be most of their
 * memory. No ALPN: without an answer every client speaks HTTP/1.1. */
void
tls_attach(struct tls *t, void *ssl_ctx)
{
	SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_alpn_select_cb(ssl_ctx, NULL, NULL);
	SSL_CTX_set_cert_cb(ssl_ctx, tls_certificate_cb, t);
}

void
tls_goodbye(void *ssl)
{
	ERR_clear_error();
	SSL_shutdown(ssl);
	ERR_clear_error(); /* what stays there would be taken for a later call's */
}
