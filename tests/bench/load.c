/* SPDX-License-Identifier: MIT */
/* load: the load generator of `./dev bench`: many WebSocket connections that
 * send prepared events as fast as the server takes them, the same bytes to
 * lecternd and to the bare sink.
 *
 *   bench_load PORT CONNECTIONS EVENTS FILE ack|pong [FIRST]   prints {"events":n,"seconds":s}
 *   bench_load PORT CONNECTIONS 0 - idle               opens them, says "idle", waits for end of input
 *
 * FILE holds one event a line, with "seq":1000000000 where its number goes.
 * EVENTS is per connection; students are b0, b1, ... or from bFIRST on. It is done when the last event of every connection
 * was acknowledged, or, for the sink, when the pong after it came back. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOAD_FRAMES_MAX 4096
#define LOAD_OUT 65536     /* bytes prepared per connection at a time */
#define LOAD_SEQ_BASE 1000000000u
#define LOAD_DIGITS 10
#define LOAD_IN 4096

static const uint8_t load_mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

/* One event as a masked frame; `digits` is where its seq stands, from the start. */
struct frame {
	uint8_t *bytes;
	size_t len, digits, payload;
};

struct connection {
	int fd;
	unsigned next;     /* event to prepare next, from 0 */
	size_t out_len, out_at;
	size_t in_len;
	bool last_prepared, done;
	uint8_t *out;
	char in[LOAD_IN];
};

static struct frame load_frames[LOAD_FRAMES_MAX];
static size_t load_n_frames, load_longest;
static unsigned load_events;
static bool load_acks;

static void
load_die(const char *what)
{
	perror(what);
	exit(1);
}

static double
load_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* RFC 6455 §5.2: final text frame, masked. Answers its length. */
static size_t
load_frame(uint8_t *out, uint8_t opcode, const char *text, size_t n, size_t *payload)
{
	size_t at = 2;

	out[0] = 0x80 | opcode;
	if (n < 126) {
		out[1] = 0x80 | (uint8_t)n;
	} else if (n < 65536) {
		out[1] = 0x80 | 126;
		out[at++] = (uint8_t)(n >> 8);
		out[at++] = (uint8_t)n;
	} else {
		out[1] = 0x80 | 127;
		for (int i = 7; i >= 0; i--)
			out[at++] = (uint8_t)((uint64_t)n >> (8 * i));
	}
	memcpy(out + at, load_mask, 4);
	at += 4;
	*payload = at;
	for (size_t i = 0; i < n; i++)
		out[at + i] = (uint8_t)text[i] ^ load_mask[i & 3];
	return at + n;
}

static void
load_read_events(const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (f == NULL)
		load_die(path);
	while (load_n_frames < LOAD_FRAMES_MAX && (n = getline(&line, &cap, f)) > 1) {
		struct frame *fr = &load_frames[load_n_frames++];
		char *seq = strstr(line, "\"seq\":1000000000");

		if (seq == NULL)
			exit(65);
		fr->bytes = malloc((size_t)n + 16);
		fr->len = load_frame(fr->bytes, 1, line, (size_t)n - 1, &fr->payload);
		fr->digits = (size_t)(seq - line) + 6;
		if (fr->len > load_longest)
			load_longest = fr->len;
	}
	free(line);
	fclose(f);
}

static void
load_patch(uint8_t *frame, const struct frame *fr, unsigned seq)
{
	for (int i = LOAD_DIGITS - 1; i >= 0; i--, seq /= 10) {
		size_t at = fr->digits + (size_t)i;

		frame[fr->payload + at] = (uint8_t)('0' + seq % 10) ^ load_mask[at & 3];
	}
}

/* Fills the out buffer with the next events. */
static void
load_prepare(struct connection *c)
{
	size_t payload;

	c->out_len = c->out_at = 0;
	while (c->next < load_events && c->out_len + load_longest < LOAD_OUT) {
		const struct frame *fr = &load_frames[c->next % load_n_frames];

		memcpy(c->out + c->out_len, fr->bytes, fr->len);
		load_patch(c->out + c->out_len, fr, LOAD_SEQ_BASE + ++c->next);
		c->out_len += fr->len;
	}
	if (c->next == load_events && !c->last_prepared && c->out_len + 16 < LOAD_OUT) {
		if (!load_acks)
			c->out_len += load_frame(c->out + c->out_len, 9, "end", 3, &payload);
		c->last_prepared = true;
	}
}

static bool
load_write(struct connection *c)
{
	for (;;) {
		ssize_t n;

		if (c->out_at == c->out_len)
			load_prepare(c);
		if (c->out_len == 0)
			return false;
		n = write(c->fd, c->out + c->out_at, c->out_len - c->out_at);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0)
			load_die("write");
		c->out_at += (size_t)n;
	}
}

/* Server frames are short and unmasked: looks for the last ack, or the pong. */
static void
load_take(struct connection *c)
{
	size_t at = 0;

	while (c->in_len - at >= 2) {
		const uint8_t *b = (const uint8_t *)c->in + at;
		size_t n = b[1] & 0x7f, head = 2;

		if (n == 126 && c->in_len - at < 4)
			break;
		if (n == 126) {
			n = (size_t)b[2] << 8 | b[3];
			head = 4;
		}
		if (c->in_len - at < head + n)
			break;
		if ((b[0] & 0x0f) == 10)
			c->done = true;
		if ((b[0] & 0x0f) == 8) {
			fprintf(stderr, "closed by the server: %.*s\n", (int)(n - 2), b + head + 2);
			exit(1);
		}
		if ((b[0] & 0x0f) == 1 && load_acks) {
			const char *seq = memmem(b + head, n, "\"seq\":", 6);

			if (memmem(b + head, n, "\"error\"", 7) != NULL) {
				fprintf(stderr, "%.*s\n", (int)n, b + head);
				exit(1);
			}
			if (seq != NULL && strtoull(seq + 6, NULL, 10) == LOAD_SEQ_BASE + (uint64_t)load_events)
				c->done = true;
		}
		at += head + n;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

static void
load_read(struct connection *c)
{
	ssize_t n;

	while ((n = read(c->fd, c->in + c->in_len, LOAD_IN - c->in_len)) > 0) {
		c->in_len += (size_t)n;
		load_take(c);
	}
	if (n == 0 || (n < 0 && errno != EAGAIN))
		load_die("connection ended");
}

static void
load_connect(struct connection *c, int port, unsigned i, unsigned user)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	char text[512], fields[256];
	uint8_t frame[512];
	size_t payload, n = 0;
	int one = 1;

	/* Many source addresses: one has only some 28,000 ports, and each rests a minute after use. */
	struct sockaddr_in from = { .sin_family = AF_INET };
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + user / 5000);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&from, sizeof from) != 0 ||
	    connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0)
		load_die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	dprintf(c->fd, "GET /wsapi/in/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", port);
	while (n < sizeof text - 1 && read(c->fd, text + n, 1) == 1) {
		n++;
		if (n >= 4 && memcmp(text + n - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	text[n] = '\0';
	if (strncmp(text, "HTTP/1.1 101", 12) != 0) {
		fprintf(stderr, "refused: %s\n", text);
		exit(1);
	}
	snprintf(fields, sizeof fields, "{\"event\":\"lock_fields\",\"fields\":{\"source\":"
	    "\"org.mitros.writing_analytics\",\"user_id\":\"b%u\",\"stream\":\"%d-%u-%ld\"}}",
	    user, (int)getpid(), i, (long)time(NULL));
	n = load_frame(frame, 1, fields, strlen(fields), &payload);
	if (write(c->fd, frame, n) != (ssize_t)n || fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
		load_die("first frame");
}

static int
load_idle(struct connection *all, unsigned n)
{
	char c;

	(void)all;
	printf("idle %u\n", n);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}

static double
load_run(struct connection *all, unsigned n)
{
	struct epoll_event ev[256];
	int ep = epoll_create1(0);
	unsigned left = n;
	double start;

	for (unsigned i = 0; i < n; i++) {
		struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &all[i] };

		all[i].out = malloc(LOAD_OUT);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &e) != 0)
			load_die("epoll_ctl");
	}
	start = load_now();
	while (left > 0) {
		int got = epoll_wait(ep, ev, 256, 60000);

		if (got <= 0)
			load_die("nothing moved for a minute");
		for (int i = 0; i < got; i++) {
			struct connection *c = ev[i].data.ptr;
			bool was = c->done;

			if (ev[i].events & EPOLLIN)
				load_read(c);
			if ((ev[i].events & EPOLLOUT) && !c->done)
				load_write(c);
			if (c->done && !was)
				left--;
		}
	}
	close(ep);
	return load_now() - start;
}

int
main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	struct connection *all;
	unsigned n, first = 0;
	double seconds;

	if (argc < 6 || argc > 7) {
		fputs("usage: bench_load PORT CONNECTIONS EVENTS FILE ack|pong|idle [FIRST]\n", stderr);
		return 64;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	n = (unsigned)strtoul(argv[2], NULL, 10);
	load_events = (unsigned)strtoul(argv[3], NULL, 10);
	if (argc == 7)
		first = (unsigned)strtoul(argv[6], NULL, 10);
	load_acks = strcmp(argv[5], "ack") == 0;
	all = calloc(n, sizeof *all);
	if (strcmp(argv[5], "idle") != 0)
		load_read_events(argv[4]);
	for (unsigned i = 0; i < n; i++)
		load_connect(&all[i], (int)strtol(argv[1], NULL, 10), i, first + i);
	if (strcmp(argv[5], "idle") == 0)
		return load_idle(all, n);
	seconds = load_run(all, n);
	printf("{\"events\":%llu,\"seconds\":%.6f}\n", (unsigned long long)n * load_events, seconds);
	return 0;
}
