/* SPDX-License-Identifier: MIT */
/* sink: the baseline of `./dev bench`: a bare libwebsockets server on libuv that
 * receives text frames and does nothing with them. usage: bench_sink PORT */
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define SINK_BUFFER (256 * 1024)

static uint64_t sink_bytes;

static int
sink_cb(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	(void)wsi;
	(void)user;
	(void)in;
	if (reason == LWS_CALLBACK_RECEIVE)
		sink_bytes += len;
	return 0;
}

static const struct lws_protocols sink_protocols[] = {
	{ .name = "sink", .callback = sink_cb, .rx_buffer_size = SINK_BUFFER },
	{ .name = NULL },
};

static void
sink_stop_cb(uv_signal_t *s, int signum)
{
	(void)signum;
	uv_stop(s->loop);
}

int
main(int argc, char **argv)
{
	uv_loop_t loop;
	uv_signal_t stop;
	void *foreign[1] = { &loop };
	struct lws_context_creation_info info = {
		.iface = "127.0.0.1",
		.protocols = sink_protocols,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_VALIDATE_UTF8,
		.foreign_loops = foreign,
		.pt_serv_buf_size = SINK_BUFFER,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
	};

	if (argc != 2) {
		fputs("usage: bench_sink PORT\n", stderr);
		return 64;
	}
	info.port = (int)strtol(argv[1], NULL, 10);
	lws_set_log_level(LLL_ERR, NULL);
	uv_loop_init(&loop);
	uv_signal_init(&loop, &stop);
	uv_signal_start(&stop, sink_stop_cb, SIGTERM);
	if (lws_create_context(&info) == NULL)
		return 1;
	uv_run(&loop, UV_RUN_DEFAULT);
	return 0;
}
