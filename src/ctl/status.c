/* SPDX-License-Identifier: MIT */
/* ctl/status: the verbs that are one question to the daemon. */
#include <string.h>
#include <sysexits.h>

#include "ctl/ctl.h"

int
ctl_status(int argc, char **argv)
{
	struct buf answer = BUF_INIT(0);
	struct conf *c = ctl_conf(&argc, argv);
	int status;

	if (c == NULL)
		return EX_CONFIG;
	if (!ctl_ask(c->control, argv[0], &answer))
		status = EX_UNAVAILABLE;
	else
		status = ctl_print(buf_view(&answer));
	/* A refused reload is an error for scripts, too. */
	if (status == EX_OK && str_starts(buf_view(&answer), "{\"ok\":false"))
		status = EX_CONFIG;
	buf_free(&answer);
	conf_free(c);
	return status;
}
