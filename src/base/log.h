/* SPDX-License-Identifier: MIT */
/* log: one line per fact to standard error: "LEVEL what key=value ...".
 * Control bytes are escaped, so that no input can forge a line. Never give it
 * student text, tokens or secrets. */
#ifndef LECTERN_BASE_LOG_H
#define LECTERN_BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

/* log_set_level: lines above the level are dropped. log_toggle_debug switches
 * between debug and the level set before (SIGUSR2). */
void log_set_level(enum log_level level);
void log_toggle_debug(void);
bool log_level_by_name(const char *name, enum log_level *out);
/* When standard error is the journal's (JOURNAL_STREAM names it) lines start
 * with "<N>", else with the UTC time. At most 4096 bytes; a longer line ends in
 * " [cut]". Safe in any thread. */
void log_line(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
