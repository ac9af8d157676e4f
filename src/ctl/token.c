/* SPDX-License-Identifier: MIT */
/* ctl/token: mints a student token that a learning platform embeds in its page. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "state/ident.h"

#define TOKEN_TTL_DEFAULT (8 * 3600)      /* seconds: one school day */
#define TOKEN_TTL_MAX (400L * 24 * 3600)  /* seconds: a school year and some */

static bool
token_ttl(const char *text, long *out)
{
	char *end;

	*out = TOKEN_TTL_DEFAULT;
	if (text == NULL)
		return true;
	errno = 0;
	*out = strtol(text, &end, 10);
	return errno == 0 && *text != '\0' && *end == '\0' && *out > 0 && *out <= TOKEN_TTL_MAX;
}

static int
token_print(const struct conf *c, const char *user, long ttl)
{
	char *why = NULL, *token, *key;

	if (c->token_key_file == NULL || c->token_key_file[0] == '\0') {
		fprintf(stderr, "%s: identity: token_key_file is not set, so no token can be "
		    "signed\n", c->path);
		return EX_CONFIG;
	}
	key = crypt_secret_read(c->token_key_file, &why);
	if (key == NULL) {
		fprintf(stderr, "lecternctl: %s\n", why);
		mem_free(why);
		return EX_CONFIG;
	}
	token = ident_token_mint(str_of(key), str_of(user), (int64_t)time(NULL) + ttl);
	mem_wipe(key, strlen(key));
	mem_free(key);
	if (token == NULL) {
		fprintf(stderr, "lecternctl: \"%s\" cannot be a verified student's id\n", user);
		return EX_DATAERR;
	}
	puts(token);
	mem_free(token);
	return EX_OK;
}

int
ctl_token(int argc, char **argv)
{
	const char *user = ctl_option(&argc, argv, "--user");
	const char *ttl_text = ctl_option(&argc, argv, "--ttl");
	struct conf *c;
	long ttl;
	int status;

	if (user == NULL || !token_ttl(ttl_text, &ttl)) {
		fprintf(stderr, "usage: lecternctl token [-c FILE] --user ID [--ttl SECONDS]\n"
		    "SECONDS from 1 to %ld, by default %d\n", TOKEN_TTL_MAX, TOKEN_TTL_DEFAULT);
		return EX_USAGE;
	}
	c = ctl_conf(&argc, argv);
	if (c == NULL)
		return EX_CONFIG;
	status = token_print(c, user, ttl);
	conf_free(c);
	return status;
}
