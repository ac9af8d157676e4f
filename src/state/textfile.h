/* SPDX-License-Identifier: MIT */
/* textfile: a text file that an administrator writes, read whole. Knows bytes
 * and lines, nothing of what they mean. */
#ifndef LECTERN_STATE_TEXTFILE_H
#define LECTERN_STATE_TEXTFILE_H

#include "base/buf.h"

/* Appends the whole file to *out. It must be a regular file (a symbolic link to
 * one is followed) of at most `max` bytes that nobody rewrites meanwhile: one
 * that changes while it is read is read once more, then refused. On failure
 * *why (mem_free it) names the file. */
enum err textfile_read(const char *path, size_t max, struct buf *out, char **why);

/* The same for a file of secrets: no symbolic link, owned by root or us, closed to
 * others and not writable by its group. */
enum err textfile_read_secret(const char *path, size_t max, struct buf *out, char **why);

/* The same for a file of a folder that others may fill: a symbolic link, which could
 * lead out of it, is refused. */
enum err textfile_read_member(const char *path, size_t max, struct buf *out, char **why);

/* Offset of the first byte that is not UTF-8, or text.n. */
size_t textfile_bad_utf8(struct str text);

/* Whether the text of that file is; if not, *why (mem_free it) names the place. */
bool textfile_is_utf8(const char *path, struct str text, char **why);

/* Visits the lines of a text, without their LF or CR LF; a byte order mark at
 * the start is left out:
 *     struct textfile_lines it = textfile_lines(text);
 *     while (textfile_next(&it)) use(it.number, it.line); */
struct textfile_lines {
	struct str line, rest;
	size_t number; /* 1, 2, 3 ... */
};
struct textfile_lines textfile_lines(struct str text);
bool textfile_next(struct textfile_lines *it);

#endif
