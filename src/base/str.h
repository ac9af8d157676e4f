/* SPDX-License-Identifier: MIT */
/* str: a borrowed run of bytes. Never owns, never ends in NUL by promise. */
#ifndef LECTERN_BASE_STR_H
#define LECTERN_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
	const char *p;
	size_t n;
};

/* For printf("%.*s", STR_ARG(s)). Only for strings shorter than INT_MAX. */
#define STR_ARG(s) (int)(s).n, (s).p
/* A str over a string literal. */
#define STR_LIT(lit) ((struct str){ (lit), sizeof(lit) - 1 })

static inline struct str
str_of(const char *z)
{
	return (struct str){ z, z ? strlen(z) : 0 };
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool
str_is(struct str a, const char *z)
{
	return str_eq(a, str_of(z));
}

static inline bool
str_starts(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

#endif
