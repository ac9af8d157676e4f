/* SPDX-License-Identifier: MIT */
/* roster_csv: the roster as one file that a spreadsheet can write:
 *     class,role,id,jid,name
 * and, when they are needed, more columns behind these. RFC 4180 with UTF-8; '#'
 * lines and blank lines are left out. One wrong line refuses the whole file. A cell
 * is plain text and stays on its line. */
#include "base/map.h"
#include "base/mem.h"
#include "state/csv.h"
#include "state/roster.h"
#include "state/textfile.h"

#define TABLE_FILE_MAX ((size_t)256 << 20)
#define TABLE_ALIASES_MAX 8 /* columns of that name */

/* The first five in this order, the others as somebody likes. */
enum table_column {
	CLASS, ROLE, ID, JID, NAME, TITLE, LOGIN, EMAIL, GIVEN, FAMILY, PERSON, COLUMNS
};

static const char *const table_columns[] = { "class", "role", "id", "jid", "name", "title",
	"login", "email", "given", "family", "person" };
#define TABLE_HEADER "class,role,id,jid,name"
#define TABLE_MORE "title, login, email, given, family, person, alias"

struct table {
	struct roster *roster;
	struct csv csv;
	size_t line;
	struct map *wards;      /* id of a guardian's row -> (char *)0 + its line */
	size_t at[COLUMNS];
	size_t alias[TABLE_ALIASES_MAX];
	size_t n_aliases;
};

/* ---- the first line ---- */

static bool
table_knows(const char *const *names, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(name, names[i]))
			return true;
	return false;
}

/* An unknown column is refused: it may be one that was meant to count. */
static const char *
table_header(struct table *t)
{
	for (size_t i = 0; i < COLUMNS; i++)
		t->at[i] = csv_column(&t->csv, table_columns[i]);
	for (size_t i = 0; i <= NAME; i++)
		if (t->at[i] != i)
			return "no header, expected " TABLE_HEADER;
	for (size_t i = NAME + 1; i < t->csv.n; i++) {
		if (str_is(csv_cell(&t->csv, i), "alias") && t->n_aliases < TABLE_ALIASES_MAX)
			t->alias[t->n_aliases++] = i;
		else if (!table_knows(table_columns, COLUMNS, csv_cell(&t->csv, i)))
			return "a column that is not known, expected " TABLE_HEADER " and behind these "
			    TABLE_MORE;
	}
	return NULL;
}

/* ---- rows ---- */

static bool
table_role(struct str name, enum roster_role *out)
{
	for (enum roster_role r = ROSTER_TEACHER; r <= ROSTER_GUARDIAN; r++) {
		if (str_is(name, roster_role_name(r))) {
			*out = r;
			return true;
		}
	}
	return false;
}

/* Remembers the line of a guardian's row, so that one whose student never comes
 * can be named. */
static void
table_note_ward(struct table *t)
{
	struct str id = csv_cell(&t->csv, ID);

	if (map_get(t->wards, id) == NULL)
		map_put(t->wards, id, (void *)(uintptr_t)t->line);
}

static const char *
table_row(struct table *t)
{
	const struct csv *c = &t->csv;
	struct str aliases[TABLE_ALIASES_MAX];
	struct roster_row row = {
		.class = csv_cell(c, CLASS), .id = csv_cell(c, ID), .jid = csv_cell(c, JID),
		.name = csv_cell(c, NAME), .title = csv_cell(c, t->at[TITLE]),
		.login = csv_cell(c, t->at[LOGIN]), .email = csv_cell(c, t->at[EMAIL]),
		.given = csv_cell(c, t->at[GIVEN]), .family = csv_cell(c, t->at[FAMILY]),
		.person = csv_cell(c, t->at[PERSON]), .aliases = aliases,
		.n_aliases = t->n_aliases, .line = t->line,
	};
	const char *wrong;

	for (size_t i = 0; i < t->n_aliases; i++)
		aliases[i] = csv_cell(c, t->alias[i]);
	if (!table_role(csv_cell(c, ROLE), &row.role))
		return "not a role, expected teacher, student or guardian";
	if (row.role == ROSTER_GUARDIAN)
		table_note_ward(t);
	roster_add(t->roster, &row, &wrong);
	return wrong;
}

/* The first guardian's row whose id no student's row has. */
static const char *
table_check_wards(struct table *t)
{
	struct map_iter it = { 0 };
	size_t first = 0;

	while (map_next(t->wards, &it)) {
		size_t line = (size_t)(uintptr_t)it.value;

		if (roster_student(t->roster, it.key)->n_classes == 0 && (first == 0 || line < first))
			first = line;
	}
	t->line = first;
	return first > 0 ? "a guardian of nobody, expected the id of a student's row" : NULL;
}

/* ---- the file ---- */

static const char *
table_rows(struct table *t)
{
	enum csv_next next;
	const char *wrong = NULL;

	while (wrong == NULL && (next = csv_next(&t->csv)) != CSV_END) {
		bool first = t->line == 0;

		t->line = t->csv.line;
		if (next == CSV_WRONG)
			return t->csv.why;
		wrong = first ? table_header(t) : table_row(t);
	}
	return wrong != NULL ? wrong : table_check_wards(t);
}

static bool
table_read(struct table *t, const struct roster_options *o, struct str text, char **why)
{
	const char *wrong;

	if (!textfile_is_utf8(o->file, text, why))
		return false;
	csv_open(&t->csv, text, true);
	wrong = table_rows(t);
	if (wrong != NULL)
		*why = mem_printf("%s:%zu: %s", o->file, t->line, wrong);
	csv_close(&t->csv);
	return wrong == NULL;
}

static struct roster *
table_load(const struct roster_options *o, char **why)
{
	struct table t = { .roster = roster_begin(o), .wards = map_new() };
	struct buf text = BUF_INIT(TABLE_FILE_MAX);
	bool ok = textfile_read(o->file, TABLE_FILE_MAX, &text, why) == ERR_OK &&
	    table_read(&t, o, buf_view(&text), why);

	buf_free(&text);
	map_free(t.wards, NULL);
	if (ok)
		return roster_finish(t.roster, o, o->file, why);
	roster_free(t.roster);
	return NULL;
}

const struct roster_backend roster_csv = { .name = "csv", .load = table_load };
