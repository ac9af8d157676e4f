/* SPDX-License-Identifier: MIT */
/* The backend "xmpp" against the contract, with a Prosody of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "prosody_rig.h"
#include "tests/contract/auth_contract.h"

static void
place(struct conf *c)
{
	c->auth_xmpp_host = prosody.host;
	c->auth_xmpp_port = prosody.port;
	c->auth_xmpp_ca = prosody.certificate;
}

static void
drop(struct conf *c)
{
	(void)c;
	if (prosody.pid == 0)
		assert_true(prosody_up());
}

static void
cut(struct conf *c)
{
	(void)c;
	prosody_end();
}

static const struct auth_contract contract = { &auth_xmpp, place, drop, NULL, cut };

int
main(void)
{
	int failed;

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	if (!prosody_setup() || !prosody_account("ann", CONTRACT_ANN_PASSWORD) ||
	    !prosody_account("b%c3%a9a", CONTRACT_BEA_PASSWORD) || !prosody_up()) {
		fprintf(stderr, "Prosody does not start, see %s/log\n", prosody.dir);
		return 1;
	}
	failed = auth_contract_run(&contract);
	if (failed > 0)
		prosody_show_log();
	return !prosody_teardown() || failed > 0;
}
