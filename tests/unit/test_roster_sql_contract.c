/* SPDX-License-Identifier: MIT */
/* The rosters in SQLite and PostgreSQL against what every roster backend must do. */
#include "tests/unit/roster_tables.h"

static const struct roster_contract contracts[] = { TABLES_CONTRACTS };

int
main(void)
{
	int failed;

	if (postgres_setup(NULL) != 0)
		return 1;
	tables_setup();
	failed = roster_contract_run(&contracts[0]) + roster_contract_run(&contracts[1]);
	return postgres_teardown(NULL) != 0 || failed > 0;
}
