/* SPDX-License-Identifier: MIT */
/* Fuzzes the roster's files: any bytes are refused with a sentence, or give a roster
 * from whose rows an equal one can be made. The first byte says what they are: a CSV
 * file, a zip file, or the files of a folder with bytes 1 between them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "state/roster.h"

#define KEY STR_LIT("0123456789abcdefghijklmnopqrstuv")
#define COUNT(a) (sizeof(a) / sizeof *(a))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char folder[] = "/dev/shm/fuzz_roster.XXXXXX";
static const char *const oneroster[] = { "manifest.csv", "classes.csv", "users.csv",
	"enrollments.csv", "orgs.csv", "academicSessions.csv", "courses.csv" };
static const char *const files[] = { "courselist-tom@x.json", "courseroster-1.json",
	"courseroster-2.json" };

static void
fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

static void
fuzz_leave(void)
{
	char *command = mem_printf("rm -rf '%s'", folder);

	fuzz_require(system(command) == 0);
	mem_free(command);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_ERROR);
	fuzz_require(mkdtemp(folder) != NULL && atexit(fuzz_leave) == 0);
	return 0;
}

static void
fuzz_write(const char *name, struct str text)
{
	char *path = mem_printf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	fuzz_require(f != NULL && fwrite(text.p, 1, text.n, f) == text.n && fclose(f) == 0);
	mem_free(path);
}

static void
fuzz_remove(const char *name)
{
	char *path = mem_printf("%s/%s", folder, name);

	(void)unlink(path);
	mem_free(path);
}

static void
fuzz_folder(const char *const *names, size_t n, struct str text)
{
	for (size_t i = 0; i < n; i++) {
		const char *end = text.n > 0 ? memchr(text.p, 1, text.n) : NULL;
		size_t len = end != NULL ? (size_t)(end - text.p) : text.n;

		fuzz_write(names[i], (struct str){ text.p, len });
		text = (struct str){ text.p + len + (end != NULL), text.n - len - (end != NULL) };
	}
}

static bool
fuzz_row_cb(void *arg, const struct roster_row *row)
{
	const char *why;

	return roster_add(arg, row, &why) == ERR_OK;
}

/* Every student is known by the own id, JID, addresses and aliases, and reads no class
 * that they attend; and the rows make the same again. */
static void
fuzz_check(struct roster *r)
{
	struct roster *again = roster_new(KEY);
	const char *why;

	fuzz_require(roster_each_row(r, fuzz_row_cb, again) && roster_seal(again, &why) == ERR_OK);
	fuzz_require(roster_students(again) == roster_students(r));
	fuzz_require(roster_classes(again) == roster_classes(r));
	fuzz_require(roster_people(again) == roster_people(r));
	for (size_t i = 0; i < roster_students(r); i++) {
		const struct roster_student *s = roster_student_at(r, i);

		fuzz_require(roster_identify(r, str_of(s->id)) == s);
		fuzz_require(s->jid == NULL || roster_by_jid(r, str_of(s->jid)) == s);
		fuzz_require(s->email == NULL || roster_identify(r, str_of(s->email)) == s);
		for (size_t k = 0; k < s->n_aliases; k++)
			fuzz_require(roster_identify(r, str_of(s->aliases[k])) == s);
		for (size_t k = 0; s->jid != NULL && k < s->n_classes; k++)
			fuzz_require(roster_reads_class(s->classes[k], str_of(s->jid), NULL) ==
			    ROSTER_AS_NOBODY);
	}
	roster_free(again);
}

static void
fuzz_load(const char *backend, const char *path)
{
	struct roster_options o = { .file = path, .pseudonym_key = KEY, .domain = "x.test",
		.now_s = 1790000000 };
	char *why = NULL;
	struct roster *r = roster_load(backend, &o, &why);

	fuzz_require((r != NULL) == (why == NULL));
	if (r != NULL)
		fuzz_check(r);
	roster_free(r);
	mem_free(why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text;
	char *file;

	if (size == 0)
		return 0;
	text = (struct str){ (const char *)data + 1, size - 1 };
	file = mem_printf("%s/one", folder);
	if ((data[0] & 3) < 2) {
		fuzz_write("one", text);
		fuzz_load((data[0] & 3) == 0 ? "csv" : "oneroster", file);
		fuzz_remove("one");
	} else {
		bool one = (data[0] & 3) == 2;
		const char *const *names = one ? oneroster : files;
		size_t n = one ? COUNT(oneroster) : COUNT(files);

		fuzz_folder(names, n, text);
		fuzz_load(one ? "oneroster" : "files", folder);
		for (size_t i = 0; i < n; i++)
			fuzz_remove(names[i]);
	}
	mem_free(file);
	return 0;
}
