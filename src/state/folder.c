/* SPDX-License-Identifier: MIT */
/* folder: see folder.h. */
#include "state/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "state/textfile.h"

#define FOLDER_TRIES 2

static int
folder_by_name(const void *a, const void *b)
{
	return strcmp(((const struct folder_file *)a)->name, ((const struct folder_file *)b)->name);
}

void
folder_free(struct folder *f)
{
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->file[i].name);
	mem_free(f->file);
	*f = (struct folder){ 0 };
}

static void
folder_add(struct folder *f, const char *name)
{
	char *path = mem_printf("%s/%s", f->path, name);
	struct folder_file file = { .name = mem_strdup(name) };

	if (lstat(path, &file.st) != 0)
		file.st.st_size = -1; /* gone since it was listed: a change */
	mem_free(path);
	if ((f->n & (f->n - 1)) == 0)
		f->file = mem_realloc(f->file, (f->n > 0 ? 2 * f->n : 1) * sizeof *f->file);
	f->file[f->n++] = file;
}

bool
folder_list(const char *path, bool (*wanted)(const char *name), struct folder *out, char **why)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int error;

	*out = (struct folder){ .path = path };
	if (d == NULL) {
		*why = mem_printf("%s: cannot be opened: %s", path, strerror(errno));
		return false;
	}
	while ((errno = 0, e = readdir(d)) != NULL && out->n <= FOLDER_FILES_MAX)
		if (wanted(e->d_name))
			folder_add(out, e->d_name);
	error = e == NULL ? errno : 0; /* what came before it is not all */
	closedir(d);
	if (error != 0) {
		*why = mem_printf("%s: cannot be read: %s", path, strerror(error));
		folder_free(out);
		return false;
	}
	if (out->n > 0)
		qsort(out->file, out->n, sizeof *out->file, folder_by_name);
	if (out->n <= FOLDER_FILES_MAX)
		return true;
	*why = mem_printf("%s: more than %d files in it", path, FOLDER_FILES_MAX);
	folder_free(out);
	return false;
}

const struct folder_file *
folder_find(const struct folder *f, const char *name)
{
	struct folder_file key = { .name = (char *)(uintptr_t)name };

	return f->n == 0 ? NULL :
	    bsearch(&key, f->file, f->n, sizeof *f->file, folder_by_name);
}

static bool
folder_same(const struct folder *a, const struct folder *b)
{
	for (size_t i = 0; a->n == b->n && i < a->n; i++) {
		const struct stat *x = &a->file[i].st, *y = &b->file[i].st;

		if (strcmp(a->file[i].name, b->file[i].name) != 0 || x->st_dev != y->st_dev ||
		    x->st_ino != y->st_ino || x->st_size != y->st_size ||
		    x->st_mtim.tv_sec != y->st_mtim.tv_sec ||
		    x->st_mtim.tv_nsec != y->st_mtim.tv_nsec)
			return false;
	}
	return a->n == b->n;
}

bool
folder_read(const char *path, bool (*wanted)(const char *name),
    bool (*read)(void *arg, const struct folder *f, char **why), void *arg, char **why)
{
	for (int i = 0; i < FOLDER_TRIES; i++) {
		struct folder before, after;
		char *gone = NULL;
		bool ok, same;

		mem_free(*why);
		*why = NULL;
		if (!folder_list(path, wanted, &before, why))
			return false;
		ok = read(arg, &before, why);
		same = folder_list(path, wanted, &after, &gone) && folder_same(&before, &after);
		folder_free(&before);
		folder_free(&after);
		mem_free(gone);
		if (same)
			return ok;
	}
	mem_free(*why);
	*why = mem_printf("%s: its files change while they are read; put new ones into a folder of "
	    "their own and rename it over the old one", path);
	return false;
}

bool
folder_text(const struct folder *f, const char *name, size_t max, struct buf *out, char **why)
{
	char *path = mem_printf("%s/%s", f->path, name);
	bool ok = textfile_read_member(path, max, out, why) == ERR_OK;

	mem_free(path);
	return ok;
}
