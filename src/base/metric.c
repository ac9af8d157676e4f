/* SPDX-License-Identifier: MIT */
/* metric: the counters and their way into JSON. Knows no room that counts. */
#include "base/metric.h"

uint64_t metric_value[METRIC_COUNT];

static uint64_t metric_rejected[ERR_COUNT];

static const char *const metric_names[] = {
#define METRIC_NAME(sym, name, help) name,
	METRIC_MAP(METRIC_NAME)
#undef METRIC_NAME
};

void
metric_reject(enum err reason)
{
	metric_add(METRIC_REJECTED, 1);
	metric_rejected[reason]++;
}

void
metric_write(struct jsonw *w)
{
	jsonw_object(w);
	for (int m = 0; m < METRIC_COUNT; m++)
		jsonw_kuint(w, metric_names[m], metric_value[m]);
	jsonw_key(w, "rejected");
	jsonw_object(w);
	for (int e = 0; e < ERR_COUNT; e++) {
		if (metric_rejected[e] > 0)
			jsonw_kuint(w, err_code((enum err)e), metric_rejected[e]);
	}
	jsonw_object_end(w);
	jsonw_object_end(w);
}
