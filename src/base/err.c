/* SPDX-License-Identifier: MIT */
/* err: the texts of the error codes. Knows nothing but the list in err.h. */
#include "base/err.h"

static const char *const err_codes[] = {
#define ERR_CODE(sym, code, text) code,
	ERR_MAP(ERR_CODE)
#undef ERR_CODE
};

static const char *const err_texts[] = {
#define ERR_TEXT(sym, code, text) text,
	ERR_MAP(ERR_TEXT)
#undef ERR_TEXT
};

const char *
err_code(enum err e)
{
	return (unsigned)e < ERR_COUNT ? err_codes[e] : "unknown";
}

const char *
err_text(enum err e)
{
	return (unsigned)e < ERR_COUNT ? err_texts[e] : "unknown error";
}
