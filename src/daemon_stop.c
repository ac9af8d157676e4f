/* SPDX-License-Identifier: MIT */
/* daemon_stop: stop reading, commit, acknowledge, close 1012, say good-bye to
 * the XMPP server, store the states, write the snapshot. */
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "daemon_priv.h"

#define DAEMON_STOP_MS 8000 /* longest wait for the disk and for peers */
#define DAEMON_STORE_MS 3000 /* of it for the store of states: the journal has everything */
#define DAEMON_STOP_STEP_MS 20

/* Whether nothing more is to be waited for from the store. */
static bool
daemon_stored(struct daemon *d)
{
	return d->drained && (keep_finish(d->keep) || loop_now_ms(d->loop) >= d->store_deadline);
}

void
daemon_stop_step_cb(void *arg)
{
	struct daemon *d = arg;
	bool gone = daemon_stored(d) && web_connections(d->web) == 0 &&
	    (d->xmpp == NULL || d->xmpp_down);

	if (!gone && loop_now_ms(d->loop) < d->stop_deadline)
		return;
	if (!d->drained)
		log_error("stopping although the disk did not take everything; "
		    "nothing of that was acknowledged");
	if (!keep_finish(d->keep) || engine_dirty(d->engine) > 0)
		log_notice("kvs: the store does not have the newest states; they are written at the "
		    "next start");
	loop_timer_stop(d->stop);
	checkpoint_now(d->checkpoint);
	loop_stop(d->loop);
}

static void
daemon_xmpp_down_cb(void *arg)
{
	struct daemon *d = arg;

	d->xmpp_down = true;
}

static void
daemon_drained_cb(void *arg)
{
	struct daemon *d = arg;

	if (d->left)
		return;
	d->drained = true;
	d->store_deadline = loop_now_ms(d->loop) + DAEMON_STORE_MS;
	web_close_all(d->web, 1012, "restarting");
	if (d->xmpp != NULL)
		xmpp_stop(d->xmpp, daemon_xmpp_down_cb, d);
}

void
daemon_stop_cb(void *arg)
{
	struct daemon *d = arg;

	if (d->stopping) {
		log_warning("told to stop twice: leaving without draining");
		loop_stop(d->loop);
		return;
	}
	d->stopping = true;
	log_notice("stopping: reading no more, committing what was read");
	sd_notify(0, "STOPPING=1");
	web_drain(d->web);
	d->stop_deadline = loop_now_ms(d->loop) + DAEMON_STOP_MS;
	loop_timer_every(d->stop, DAEMON_STOP_STEP_MS);
	journal_drain(d->journal, daemon_drained_cb, d);
}
