/* SPDX-License-Identifier: MIT */
/* ctl/pseudonym: what the organisation's key makes of names: the pseudonyms
 * under which students appear in nodes, and the names of nodes at the server's
 * own PubSub service. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "ctl/ctl.h"
#include "flow/node.h"
#include "state/ident.h"

typedef void pseudonym_fn(struct str key, const char *name);

static void
pseudonym_student(struct str key, const char *name)
{
	char pseudonym[PSEUDONYM_LEN + 1];

	ident_pseudonym(key, str_of(name), pseudonym);
	printf("%s\t%s\n", name, pseudonym);
}

static void
pseudonym_node(struct str key, const char *name)
{
	char opaque[NODE_OPAQUE_LEN + 1];

	node_opaque(key, str_of(name), opaque);
	printf("%s\t%s\n", name, opaque);
}

int
ctl_pseudonym(int argc, char **argv)
{
	pseudonym_fn *make = strcmp(argv[0], "node") == 0 ? pseudonym_node : pseudonym_student;
	struct conf *c = ctl_conf(&argc, argv);
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
	for (int i = 1; i < argc; i++)
		make(str_of(key), argv[i]);
	mem_wipe(key, strlen(key));
	mem_free(key);
	return EX_OK;
}
