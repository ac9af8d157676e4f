/* SPDX-License-Identifier: MIT */
/* roster_oneroster_files: the texts of an export, from a folder or a zip file. The
 * only file that knows libzip. */
#include <sys/stat.h>
#include <zip.h>

#include "base/mem.h"
#include "state/folder.h"
#include "state/roster_oneroster.h"
#include "state/textfile.h"

#define ONEROSTER_ZIP_MAX ((size_t)256 << 20)   /* bytes of the zip file */
#define ONEROSTER_TEXT_MAX ((size_t)256 << 20)  /* bytes of one text, unpacked */
#define ONEROSTER_TOTAL_MAX ((size_t)512 << 20) /* bytes of all texts */
#define ONEROSTER_ENTRIES_MAX 1000              /* of the zip file */
#define ONEROSTER_CHUNK ((size_t)64 << 10)

static const char *const oneroster_names[] = {
	[ONEROSTER_MANIFEST] = "manifest.csv",
	[ONEROSTER_ORGS] = "orgs.csv",
	[ONEROSTER_SESSIONS] = "academicSessions.csv",
	[ONEROSTER_COURSES] = "courses.csv",
	[ONEROSTER_CLASSES] = "classes.csv",
	[ONEROSTER_USERS] = "users.csv",
	[ONEROSTER_ENROLLMENTS] = "enrollments.csv",
};

const char *
oneroster_file_name(enum oneroster_file f)
{
	return oneroster_names[f];
}

void
oneroster_texts_free(struct oneroster_texts *t)
{
	for (size_t i = 0; i < ONEROSTER_FILES; i++) {
		buf_free(&t->text[i]);
		t->there[i] = false;
	}
}

static size_t
oneroster_room(const struct oneroster_texts *t)
{
	size_t used = 0;

	for (size_t i = 0; i < ONEROSTER_FILES; i++)
		used += t->text[i].len;
	used = used < ONEROSTER_TOTAL_MAX ? ONEROSTER_TOTAL_MAX - used : 0;
	return used < ONEROSTER_TEXT_MAX ? used : ONEROSTER_TEXT_MAX;
}

/* ---- a folder ---- */

static bool
oneroster_wants(const char *name)
{
	for (size_t i = 0; i < ONEROSTER_FILES; i++)
		if (strcmp(name, oneroster_names[i]) == 0)
			return true;
	return false;
}

static bool
oneroster_folder_cb(void *arg, const struct folder *f, char **why)
{
	struct oneroster_texts *out = arg;

	oneroster_texts_free(out);
	for (size_t i = 0; i < ONEROSTER_FILES; i++) {
		out->there[i] = folder_find(f, oneroster_names[i]) != NULL;
		if (out->there[i] && !folder_text(f, oneroster_names[i], oneroster_room(out),
		    &out->text[i], why))
			return false;
	}
	return true;
}

/* ---- a zip file ---- */

/* Unpacks what is there, whatever its header says of its size. */
static bool
oneroster_unpack(zip_t *zip, zip_uint64_t at, size_t max, struct buf *out, char **why)
{
	zip_file_t *f = zip_fopen_index(zip, at, 0);
	zip_int64_t n = f != NULL ? 1 : -1;
	char *room;

	while (n > 0) {
		if (out->len > max || (room = buf_room(out, ONEROSTER_CHUNK)) == NULL) {
			*why = mem_printf("%s: unpacked it is larger than the limit, expected at most %zu "
			    "bytes", zip_get_name(zip, at, 0), max);
			break;
		}
		n = zip_fread(f, room, ONEROSTER_CHUNK);
		out->len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		*why = mem_printf("%s: cannot be unpacked: %s", zip_get_name(zip, at, 0),
		    f != NULL ? zip_file_strerror(f) : zip_strerror(zip));
	if (f != NULL)
		(void)zip_fclose(f); /* all was read, and its checksum with the last of it */
	return n == 0;
}

/* Where the zip file has the name, in whatever folder; false when twice. */
static bool
oneroster_locate(zip_t *zip, const char *name, zip_int64_t *at, char **why)
{
	zip_int64_t n = zip_get_num_entries(zip, 0);

	*at = -1;
	for (zip_int64_t i = 0; i < n; i++) {
		const char *entry = zip_get_name(zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
		const char *slash = entry != NULL ? strrchr(entry, '/') : NULL;

		if (entry == NULL || strcmp(slash != NULL ? slash + 1 : entry, name) != 0 ||
		    str_starts(str_of(entry), "__MACOSX/"))
			continue;
		if (*at >= 0) {
			*why = mem_printf("%s stands twice in it, expected one export", name);
			return false;
		}
		*at = i;
	}
	return true;
}

static bool
oneroster_zip_texts(zip_t *zip, struct oneroster_texts *out, char **why)
{
	if (zip_get_num_entries(zip, 0) > ONEROSTER_ENTRIES_MAX) {
		*why = mem_printf("more than %d files in it, expected the export alone",
		    ONEROSTER_ENTRIES_MAX);
		return false;
	}
	for (size_t i = 0; i < ONEROSTER_FILES; i++) {
		zip_int64_t at;

		if (!oneroster_locate(zip, oneroster_names[i], &at, why))
			return false;
		if (at >= 0 && !oneroster_unpack(zip, (zip_uint64_t)at, oneroster_room(out),
		    &out->text[i], why))
			return false;
		out->there[i] = at >= 0;
	}
	return true;
}

/* The whole zip file is read first, so that it cannot change under libzip. */
static bool
oneroster_zip(const char *path, struct oneroster_texts *out, char **why)
{
	struct buf packed = BUF_INIT(ONEROSTER_ZIP_MAX);
	zip_error_t error;
	zip_source_t *source;
	zip_t *zip = NULL;
	char *what = NULL;
	bool ok;

	if (textfile_read(path, ONEROSTER_ZIP_MAX, &packed, why) != ERR_OK) {
		buf_free(&packed);
		return false;
	}
	zip_error_init(&error);
	source = zip_source_buffer_create(packed.data, packed.len, 0, &error);
	if (source != NULL)
		zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
	ok = zip != NULL && oneroster_zip_texts(zip, out, &what);
	if (!ok)
		*why = mem_printf("%s: %s%s", path, zip == NULL ? "neither a folder nor a zip file: " : "",
		    zip == NULL ? zip_error_strerror(&error) : what);
	mem_free(what);
	if (zip != NULL)
		zip_discard(zip);
	else
		zip_source_free(source);
	zip_error_fini(&error);
	buf_free(&packed);
	return ok;
}

/* ---- either ---- */

bool
oneroster_read(const char *path, struct oneroster_texts *out, char **why)
{
	struct stat st;

	for (size_t i = 0; i < ONEROSTER_FILES; i++) {
		out->text[i] = BUF_INIT(ONEROSTER_TEXT_MAX + 2 * ONEROSTER_CHUNK);
		out->there[i] = false;
	}
	*why = NULL;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return folder_read(path, oneroster_wants, oneroster_folder_cb, out, why);
	return oneroster_zip(path, out, why);
}
