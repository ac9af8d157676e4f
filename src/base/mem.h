/* SPDX-License-Identifier: MIT */
/* mem: the only place that calls malloc and free. Small requests never fail:
 * out of memory ends the process. Whatever a peer sizes is bounded before it
 * comes here. */
#ifndef LECTERN_BASE_MEM_H
#define LECTERN_BASE_MEM_H

#include <stddef.h>

#include "base/str.h"

void *mem_alloc(size_t n);               /* not cleared */
void *mem_zalloc(size_t n);              /* cleared */
void *mem_realloc(void *p, size_t n);
void mem_free(void *p);                  /* NULL is allowed */
char *mem_dup(const void *p, size_t n);  /* n bytes and a NUL */
char *mem_strdup(const char *z);         /* NULL gives NULL */
char *mem_str(struct str s);             /* NUL-terminated copy */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void mem_wipe(void *p, size_t n);        /* cleared so that no compiler drops it */

/* Gives what was freed back to the system; takes a while when that was much. */
void mem_trim(void);

/* A cleared struct of the pointer's type: struct x *x = MEM_NEW(x). */
#define MEM_NEW(ptr) ((ptr) = mem_zalloc(sizeof *(ptr)))

#endif
