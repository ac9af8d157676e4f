/* SPDX-License-Identifier: MIT */
/* ctl/doctor_daemon: what the running daemon says of itself. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "ctl/doctor.h"

static void
doctor_no_daemon(struct doctor *d, int why)
{
	const char *socket = d->conf->control;

	if (why == ENOENT || why == ECONNREFUSED) {
		d->daemon = DAEMON_DOWN;
		doctor_found(d, DOCTOR_WRONG, "daemon", "daemon_down", -1, "lecternd does not run "
		    "with this configuration: nothing answers on %s; start it: systemctl start "
		    "lecternd, and look at its log: journalctl -u lecternd", socket);
	} else {
		doctor_found(d, DOCTOR_WRONG, "daemon", "control", -1, "%s: %s; run this as the "
		    "daemon's user or as root", socket, strerror(why));
	}
}

static void
doctor_journal(struct doctor *d, struct json root)
{
	struct json journal, v;
	struct str error = STR_LIT("");
	bool stalled = false;
	int64_t durable = 0;

	if (!json_get(root, "journal", &journal))
		return;
	json_get_str(journal, "last_error", &error);
	if (json_get(journal, "stalled", &v))
		json_bool(v, &stalled);
	if (json_get(journal, "durable", &v))
		json_int(v, &durable);
	if (stalled)
		doctor_found(d, DOCTOR_WRONG, "journal", "journal_stalled", -1, "the disk takes "
		    "nothing, so no event is accepted: %.*s; make room in %s or mend the disk, it "
		    "goes on by itself", STR_ARG(error), d->conf->state_dir);
	else
		doctor_found(d, DOCTOR_OK, "journal", NULL, -1, "%" PRId64 " records on disk", durable);
}

static void
doctor_reloaded(struct doctor *d, struct json root)
{
	struct json roster, v;
	struct str error, copy;
	int64_t students = -1;

	if (!json_get(root, "roster", &roster))
		return;
	if (json_get_str(roster, "copy_of", &copy))
		doctor_found(d, DOCTOR_WRONG, "roster", "roster_copy", -1, "in force is the copy of "
		    "%.*s, until the database answers", STR_ARG(copy));
	if (json_get_str(roster, "reload_error", &error))
		doctor_found(d, DOCTOR_WRONG, "reload", "reload", -1, "the last reload was refused "
		    "and the old configuration and roster are in force: %.*s", STR_ARG(error));
	else if (json_get(roster, "students", &v) && json_int(v, &students) && d->roster != NULL &&
	    (size_t)students != roster_students(d->roster))
		doctor_found(d, DOCTOR_NOTE, "reload", "roster_changed", -1, "the roster file was "
		    "changed since the daemon read it: lecternctl reload");
}

void
doctor_daemon(struct doctor *d)
{
	struct json_doc *doc = json_doc_new();
	double start = doctor_now();
	int why = ctl_try(d->conf->control, "status", &d->status);
	struct json root, v;
	struct str version = STR_LIT("");
	int64_t pid = 0;

	if (why != 0) {
		doctor_no_daemon(d, why);
		buf_clear(&d->status);
	} else if (buf_room(&d->status, JSON_PADDING) == NULL ||
	    json_parse(doc, buf_view(&d->status), &root) != ERR_OK) {
		doctor_found(d, DOCTOR_WRONG, "daemon", "control", -1, "what answers on %s is no "
		    "lecternd of this version", d->conf->control);
		buf_clear(&d->status);
	} else {
		d->daemon = DAEMON_UP;
		json_get_str(root, "version", &version);
		if (json_get(root, "pid", &v))
			json_int(v, &pid);
		doctor_found(d, DOCTOR_OK, "daemon", NULL, doctor_now() - start,
		    "lecternd %.*s runs, pid %" PRId64, STR_ARG(version), pid);
		doctor_journal(d, root);
		doctor_reloaded(d, root);
		doctor_backends(d, root);
	}
	json_doc_free(doc);
}
