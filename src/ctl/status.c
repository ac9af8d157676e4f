/* SPDX-License-Identifier: MIT */
/* ctl/status: the verbs that are one question to the daemon. */
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "ctl/ctl.h"

int
ctl_status(int argc, char **argv)
{
	struct buf answer = BUF_INIT(0);
	const char *component = ctl_option(&argc, argv, "--component");
	struct conf *c = ctl_conf(&argc, argv);
	char *socket;
	int status;

	if (c == NULL)
		return EX_CONFIG;
	socket = component != NULL ? mem_printf("%s.%s", c->control, component) : mem_strdup(c->control);
	if (!ctl_ask(socket, argv[0], &answer))
		status = EX_UNAVAILABLE;
	else
		status = ctl_print(buf_view(&answer));
	/* A refused reload is an error for scripts, too. */
	if (status == EX_OK && str_starts(buf_view(&answer), "{\"ok\":false"))
		status = EX_CONFIG;
	mem_free(socket);
	buf_free(&answer);
	conf_free(c);
	return status;
}
