/* SPDX-License-Identifier: MIT */
/* ctl/pseudonym: the pseudonyms under which students appear in nodes. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "state/ident.h"

int
ctl_pseudonym(int argc, char **argv)
{
	struct conf *c = ctl_conf(&argc, argv);
	char pseudonym[PSEUDONYM_LEN + 1];
	char *why = NULL, *key;

	if (c == NULL)
		return EX_CONFIG;
	key = crypt_secret_read(c->key_file, &why);
	conf_free(c);
	if (key == NULL) {
		fprintf(stderr, "lecternctl: %s\n", why);
		mem_free(why);
		return EX_CONFIG;
	}
	for (int i = 1; i < argc; i++) {
		ident_pseudonym(str_of(key), str_of(argv[i]), pseudonym);
		printf("%s\t%s\n", argv[i], pseudonym);
	}
	mem_wipe(key, strlen(key));
	mem_free(key);
	return EX_OK;
}
