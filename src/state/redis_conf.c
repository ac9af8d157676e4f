/* SPDX-License-Identifier: MIT */
/* redis_conf: see redis_conf.h. */
#include "state/redis_conf.h"

#include "base/crypt.h"
#include "base/mem.h"

bool
redis_conf(const struct conf *c, struct redis_options *out, char **why)
{
	*out = (struct redis_options){ .address = c->redis_address, .user = c->redis_user,
		.database = c->redis_database, .insecure_ok = c->redis_insecure_ok,
		.timeout_s = (unsigned)c->redis_timeout };
	if (c->redis_password_file == NULL)
		return true;
	out->password = crypt_password_read(c->redis_password_file, why);
	return out->password != NULL;
}

void
redis_conf_wipe(struct redis_options *o)
{
	char *password = (char *)o->password;

	if (password != NULL)
		mem_wipe(password, strlen(password));
	mem_free(password);
	o->password = NULL;
}
