/* SPDX-License-Identifier: MIT */
/* folder: the files of a folder that belong together, to be read as they all were at
 * one time. Knows names and when a file is another one, nothing of what they mean. */
#ifndef LECTERN_STATE_FOLDER_H
#define LECTERN_STATE_FOLDER_H

#include <sys/stat.h>

#include "base/buf.h"

#define FOLDER_FILES_MAX 100000

struct folder_file {
	char *name; /* within the folder */
	struct stat st;
};

struct folder {
	const char *path; /* borrowed */
	struct folder_file *file; /* sorted by name */
	size_t n;
};

/* Lists those files of the folder that are wanted. false with *why (mem_free it). */
bool folder_list(const char *path, bool (*wanted)(const char *name), struct folder *out,
    char **why);
void folder_free(struct folder *f);

/* The file of that name, or NULL. */
const struct folder_file *folder_find(const struct folder *f, const char *name);

/* Runs read(arg) with a listing, so often that no file came, went or was written
 * meanwhile: at most twice, then *why says that it changes. read starts anew each
 * time and answers as this does. */
bool folder_read(const char *path, bool (*wanted)(const char *name),
    bool (*read)(void *arg, const struct folder *f, char **why), void *arg, char **why);

/* Appends the file's bytes, at most max; no symbolic link. */
bool folder_text(const struct folder *f, const char *name, size_t max, struct buf *out,
    char **why);

#endif
