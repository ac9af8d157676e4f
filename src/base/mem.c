/* SPDX-License-Identifier: MIT */
/* mem: malloc and free, dying when there is no memory. Knows no other room, so
 * that every room may use it. */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* No allocation, no formatting: neither may work any more. */
static void
mem_die(void)
{
	fputs("error out of memory\n", stderr);
	abort();
}

void *
mem_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (p == NULL)
		mem_die();
	return p;
}

void *
mem_zalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (p == NULL)
		mem_die();
	return p;
}

void *
mem_realloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (p == NULL)
		mem_die();
	return p;
}

void
mem_free(void *p)
{
	free(p);
}

char *
mem_dup(const void *p, size_t n)
{
	char *copy;

	if (n == SIZE_MAX)
		mem_die();
	copy = mem_alloc(n + 1);
	if (n > 0)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *
mem_strdup(const char *z)
{
	return z ? mem_dup(z, strlen(z)) : NULL;
}

char *
mem_str(struct str s)
{
	return mem_dup(s.p, s.n);
}

char *
mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		mem_die();
	text = mem_alloc((size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return text;
}

void
mem_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

void
mem_trim(void)
{
	malloc_trim(0);
}
