/* SPDX-License-Identifier: MIT */
/* Fuzzes base/conf: any file is either refused with a cause, or prints as a
 * file that reads back the same. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

/* Reads the bytes as if they were a file. */
static struct conf *
fuzz_read(const void *p, size_t n)
{
	struct buf causes = BUF_INIT(0);
	struct conf *c;
	char path[64];
	int fd = memfd_create("conf", MFD_CLOEXEC);

	fuzz_require(fd >= 0 && fchmod(fd, 0600) == 0);
	fuzz_require(n == 0 || write(fd, p, n) == (ssize_t)n);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	c = conf_read(path, &causes);
	fuzz_require((c == NULL) == (causes.len > 0));
	buf_free(&causes);
	close(fd);
	return c;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *c = fuzz_read(data, size), *again;
	struct buf first = BUF_INIT(0), second = BUF_INIT(0);

	if (c == NULL)
		return 0;
	conf_print(c, &first);
	again = fuzz_read(first.data, first.len);
	fuzz_require(again != NULL);
	conf_print(again, &second);
	fuzz_require(str_eq(buf_view(&first), buf_view(&second)));
	buf_clear(&second);
	fuzz_require(conf_needs_restart(c, again, &second) == 0);
	buf_free(&first);
	buf_free(&second);
	conf_free(c);
	conf_free(again);
	return 0;
}
