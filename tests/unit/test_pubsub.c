/* SPDX-License-Identifier: MIT */
/* pubsub: the contract with the backend in memory. */
#include "base/log.h"
#include "tests/contract/pubsub_contract.h"

#include "flow/pubsub_backends.h"

static void
nothing(struct pubsub_options *o)
{
	(void)o;
}

int
main(void)
{
	const struct pubsub_contract contract = {
		.backend = &pubsub_memory, .place = nothing, .drop = nothing
	};

	log_set_level(LOG_ERROR);
	return pubsub_contract_run(&contract);
}
