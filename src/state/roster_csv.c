/* SPDX-License-Identifier: MIT */
/* roster_csv: the roster as one file that a spreadsheet can write:
 *     class,role,id,jid,name
 * RFC 4180 with UTF-8; '#' lines and blank lines are left out. One wrong line
 * refuses the whole file. A cell is plain text and stays on its line. */
#include "base/map.h"
#include "base/mem.h"
#include "state/roster.h"
#include "state/textfile.h"

#define CSV_FILE_MAX ((size_t)256 << 20)
#define CSV_LINE_MAX ((size_t)64 << 10)
#define CSV_CELL_MAX ((size_t)1 << 10)
#define CSV_ROWS_MAX ((size_t)1000000)

enum csv_column { CSV_CLASS, CSV_ROLE, CSV_ID, CSV_JID, CSV_NAME, CSV_COLUMNS };

static const char *const csv_header[] = { "class", "role", "id", "jid", "name" };
#define CSV_HEADER "class,role,id,jid,name"

static const char *const csv_roles[] = {
	[ROSTER_TEACHER] = "teacher",
	[ROSTER_STUDENT] = "student",
	[ROSTER_GUARDIAN] = "guardian",
};

struct csv {
	struct roster *roster;
	size_t line, rows;
	bool has_header;
	struct map *wards; /* id of a guardian's row -> (char *)0 + its line */
	struct buf cell[CSV_COLUMNS];
};

/* ---- one line into cells ---- */

/* Reads the cell at *rest up to its comma. NULL, or what is wrong. */
static const char *
csv_cell(struct str *rest, struct buf *out)
{
	const char *p = rest->p, *end = p + rest->n;
	bool quoted = p < end && *p == '"';

	buf_clear(out);
	if (quoted)
		for (p++;; p++) {
			if (p == end)
				return "a quote that is not closed on its line, expected \" at the end of the cell";
			if (*p == '"' && (p + 1 == end || p[1] != '"'))
				break;
			p += *p == '"';
			buf_byte(out, *p);
		}
	else
		for (; p < end && *p != ',' && *p != '"'; p++)
			buf_byte(out, *p);
	p += quoted;
	if (p < end && *p != ',')
		return "a quote or text out of place, expected the whole cell in quotes and quotes in it doubled";
	*rest = (struct str){ p, (size_t)(end - p) };
	return out->failed ? "a cell of more than 1024 bytes" : NULL;
}

/* Spreadsheets leave spaces at either end, which nobody sees or means. */
static void
csv_trim(struct buf *cell)
{
	size_t n = 0;

	while (cell->len > 0 && cell->data[cell->len - 1] == ' ')
		cell->len--;
	while (n < cell->len && cell->data[n] == ' ')
		n++;
	buf_shift(cell, n);
}

/* Cuts the line into exactly CSV_COLUMNS cells. NULL, or what is wrong. */
static const char *
csv_cells(struct csv *c, struct str line)
{
	for (size_t i = 0; i < CSV_COLUMNS; i++) {
		const char *wrong = csv_cell(&line, &c->cell[i]);

		if (wrong != NULL)
			return wrong;
		csv_trim(&c->cell[i]);
		if (i + 1 == CSV_COLUMNS)
			break;
		if (line.n == 0)
			return "fewer than 5 cells, expected " CSV_HEADER;
		line.p++;
		line.n--;
	}
	return line.n > 0 ? "more than 5 cells, expected " CSV_HEADER : NULL;
}

/* ---- lines into rows ---- */

static const char *
csv_check_header(struct csv *c)
{
	for (size_t i = 0; i < CSV_COLUMNS; i++)
		if (!str_is(buf_view(&c->cell[i]), csv_header[i]))
			return "no header, expected " CSV_HEADER;
	c->has_header = true;
	return NULL;
}

static bool
csv_role(struct str name, enum roster_role *out)
{
	for (size_t i = 0; i < sizeof csv_roles / sizeof *csv_roles; i++) {
		if (str_is(name, csv_roles[i])) {
			*out = (enum roster_role)i;
			return true;
		}
	}
	return false;
}

/* Remembers the line of a guardian's row, so that one whose student never comes
 * can be named. */
static void
csv_note_ward(struct csv *c)
{
	struct str id = buf_view(&c->cell[CSV_ID]);

	if (map_get(c->wards, id) == NULL)
		map_put(c->wards, id, (void *)(uintptr_t)c->line);
}

static const char *
csv_row(struct csv *c)
{
	enum roster_role role;
	const char *wrong;

	if (++c->rows > CSV_ROWS_MAX)
		return "more rows than a roster may have, expected at most 1000000";
	if (!csv_role(buf_view(&c->cell[CSV_ROLE]), &role))
		return "not a role, expected teacher, student or guardian";
	if (role == ROSTER_GUARDIAN)
		csv_note_ward(c);
	roster_add(c->roster, &(struct roster_row){
		.role = role,
		.class = buf_view(&c->cell[CSV_CLASS]),
		.id = buf_view(&c->cell[CSV_ID]),
		.jid = buf_view(&c->cell[CSV_JID]),
		.name = buf_view(&c->cell[CSV_NAME]),
		.line = c->line,
	}, &wrong);
	return wrong;
}

static const char *
csv_line(struct csv *c, struct str line)
{
	const char *wrong;

	if (line.n > CSV_LINE_MAX)
		return "a line of more than 64 KiB";
	if (line.n == 0 || line.p[0] == '#')
		return NULL;
	wrong = csv_cells(c, line);
	if (wrong != NULL)
		return wrong;
	return c->has_header ? csv_row(c) : csv_check_header(c);
}

/* The first guardian's row whose id no student's row has. */
static const char *
csv_check_wards(struct csv *c)
{
	struct map_iter it = { 0 };
	size_t first = 0;

	while (map_next(c->wards, &it)) {
		size_t line = (size_t)(uintptr_t)it.value;

		if (roster_student(c->roster, it.key)->n_classes == 0 && (first == 0 || line < first))
			first = line;
	}
	c->line = first;
	return first > 0 ? "a guardian of nobody, expected the id of a student's row" : NULL;
}

/* ---- the file ---- */

static bool
csv_is_utf8(const char *file, struct str text, char **why)
{
	size_t bad = textfile_bad_utf8(text), line = 1;

	if (bad == text.n)
		return true;
	for (size_t i = 0; i < bad; i++)
		line += text.p[i] == '\n';
	*why = mem_printf("%s:%zu: byte %zu of the file is not UTF-8, expected the file to be saved "
	    "as UTF-8", file, line, bad);
	return false;
}

static bool
csv_read(struct csv *c, const struct roster_options *o, struct str text, char **why)
{
	struct textfile_lines it = textfile_lines(text);
	const char *wrong = NULL;

	if (!csv_is_utf8(o->file, text, why))
		return false;
	while (wrong == NULL && textfile_next(&it)) {
		c->line = it.number;
		wrong = csv_line(c, it.line);
	}
	if (wrong == NULL)
		wrong = csv_check_wards(c);
	if (wrong != NULL) {
		*why = mem_printf("%s:%zu: %s", o->file, c->line, wrong);
		return false;
	}
	if (c->rows > 0 || o->allow_empty)
		return true;
	*why = mem_printf("%s: no rows, so nobody could read anything; expected " CSV_HEADER
	    " and rows, or the option that allows an empty roster", o->file);
	return false;
}

static bool
csv_seal(struct csv *c, const char *file, char **why)
{
	const char *wrong;

	if (roster_seal(c->roster, &wrong) == ERR_OK)
		return true;
	*why = mem_printf("%s: %s", file, wrong);
	return false;
}

static struct roster *
csv_load(const struct roster_options *o, char **why)
{
	struct csv c = { .roster = roster_new(o->pseudonym_key), .wards = map_new() };
	struct buf text = BUF_INIT(CSV_FILE_MAX);
	bool ok;

	for (size_t i = 0; i < CSV_COLUMNS; i++)
		c.cell[i] = BUF_INIT(CSV_CELL_MAX);
	ok = textfile_read(o->file, CSV_FILE_MAX, &text, why) == ERR_OK &&
	    csv_read(&c, o, buf_view(&text), why) && csv_seal(&c, o->file, why);
	for (size_t i = 0; i < CSV_COLUMNS; i++)
		buf_free(&c.cell[i]);
	buf_free(&text);
	map_free(c.wards, NULL);
	if (ok)
		return c.roster;
	roster_free(c.roster);
	return NULL;
}

const struct roster_backend roster_csv = { .name = "csv", .load = csv_load };
