/* SPDX-License-Identifier: MIT */
/* prosody_rig: a private Prosody in a folder of its own on a free port of a loopback
 * address that is nobody else's either, with a certificate of its own and accounts, that can be killed and started again.
 * It ends with the test program. */
#ifndef LECTERN_TEST_PROSODY_RIG_H
#define LECTERN_TEST_PROSODY_RIG_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROSODY_DOMAIN "school.test"
#define PROSODY_READY_TRIES 3000 /* of 10 ms */

static struct {
	char dir[64], certificate[128], host[16];
	unsigned short port;
	pid_t pid;
} prosody;

/* Prosody refuses to be root: then it is an ordinary user of the machine. */
static void
prosody_be_ordinary(void)
{
	struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;

	if (nobody != NULL && (setgroups(0, NULL) != 0 || setgid(nobody->pw_gid) != 0 ||
	    setuid(nobody->pw_uid) != 0))
		_exit(125);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Starts a program in the folder, with its output in a log there. */
static pid_t
prosody_spawn(char *const argv[])
{
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	if (chdir(prosody.dir) != 0)
		_exit(126);
	prosody_be_ordinary();
	if ((fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600)) < 0 || dup2(fd, 1) < 0 ||
	    dup2(fd, 2) < 0 || setenv("HOME", prosody.dir, 1) != 0)
		_exit(126);
	execvp(argv[0], argv);
	_exit(127);
}

static bool
prosody_run(char *const argv[])
{
	int status;

	return waitpid(prosody_spawn(argv), &status, 0) > 0 && status == 0;
}

static bool
prosody_write(const char *name, const char *text)
{
	struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
	char path[256];
	FILE *f;
	bool ok;

	snprintf(path, sizeof path, "%s/%s", prosody.dir, name);
	f = fopen(path, "w");
	ok = f != NULL && fputs(text, f) >= 0;
	return f != NULL && fclose(f) == 0 && ok &&
	    (nobody == NULL || chown(path, nobody->pw_uid, nobody->pw_gid) == 0);
}

/* An account as the store "internal" keeps it; the file's name is percent-encoded. */
static bool
prosody_account(const char *encoded, const char *password)
{
	char name[128], text[256];

	snprintf(name, sizeof name, "data/school%%2etest/accounts/%s.dat", encoded);
	snprintf(text, sizeof text, "return { [\"password\"] = [==[%s]==]; };\n", password);
	return prosody_write(name, text);
}

static struct sockaddr_in
prosody_address(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(prosody.port) };

	if (inet_pton(AF_INET, prosody.host, &a.sin_addr) != 1)
		abort();
	return a;
}

static void
prosody_free_port(void)
{
	unsigned pid = (unsigned)getpid();
	struct sockaddr_in a;
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(prosody.host, sizeof prosody.host, "127.%u.%u.%u", 64 + pid / 65536 % 64,
	    pid / 256 % 256, 1 + pid % 254);
	a = prosody_address();
	if (bind(fd, (struct sockaddr *)&a, n) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		abort();
	close(fd);
	prosody.port = ntohs(a.sin_port);
}

static bool
prosody_conf(void)
{
	char text[1024];

	snprintf(text, sizeof text,
	    "data_path = \"%s/data\"\npidfile = \"%s/pid\"\nplugin_paths = { \"%s\" }\n"
	    "log = { { levels = { min = \"info\" }, to = \"console\" } }\n"
	    "daemonize = false\ninterfaces = { \"%s\" }\nc2s_ports = { %u }\ns2s_ports = { }\n"
	    "component_ports = { }\nhttp_ports = { }\nhttps_ports = { }\nlegacy_ssl_ports = { }\n"
	    "c2s_direct_tls_ports = { }\ns2s_direct_tls_ports = { }\n"
	    "modules_enabled = { \"saslauth\", \"tls\", \"lectern_ready\" }\nmodules_disabled = { \"s2s\", \"offline\" }\n"
	    "authentication = \"internal_plain\"\nc2s_require_encryption = true\n"
	    "ssl = { key = \"%s/key.pem\"; certificate = \"%s/certificate.pem\" }\n"
	    "VirtualHost \"" PROSODY_DOMAIN "\"\n",
	    prosody.dir, prosody.dir, prosody.dir, prosody.host, prosody.port, prosody.dir,
	    prosody.dir);
	if (!prosody_write("prosody.cfg.lua", text))
		return false;
	snprintf(text, sizeof text, "module:set_global();\n"
	    "module:hook_global(\"server-started\", function () io.open(\"%s/ready\", \"w\"):close(); end);\n",
	    prosody.dir);
	return prosody_write("mod_lectern_ready.lua", text);
}

static bool
prosody_folder(const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", prosody.dir, name);
	return prosody_run((char *[]){ "mkdir", "-p", path, NULL });
}

/* It listens long before it answers: so it says itself when it is ready. */
static bool
prosody_up(void)
{
	char ready[128], config[128];
	char *argv[] = { "prosody", "--config", config, "-F", NULL };

	snprintf(ready, sizeof ready, "%s/ready", prosody.dir);
	snprintf(config, sizeof config, "%s/prosody.cfg.lua", prosody.dir);
	unlink(ready);
	prosody.pid = prosody_spawn(argv);
	for (int i = 0; i < PROSODY_READY_TRIES; i++) {
		if (access(ready, F_OK) == 0)
			return true;
		if (waitpid(prosody.pid, NULL, WNOHANG) != 0)
			return false;
		usleep(10000);
	}
	return false;
}

static void
prosody_end(void)
{
	int status;

	if (prosody.pid <= 0)
		return;
	kill(prosody.pid, SIGKILL);
	waitpid(prosody.pid, &status, 0);
	prosody.pid = 0;
}

static bool
prosody_setup(void)
{
	struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
	char *request[] = { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=" PROSODY_DOMAIN,
		"-addext", "subjectAltName=DNS:" PROSODY_DOMAIN, "-keyout", "key.pem", "-out",
		"certificate.pem", NULL };

	snprintf(prosody.dir, sizeof prosody.dir, "/tmp/lectern-prosody-XXXXXX");
	if (mkdtemp(prosody.dir) == NULL ||
	    (nobody != NULL && chown(prosody.dir, nobody->pw_uid, nobody->pw_gid) != 0))
		return false;
	snprintf(prosody.certificate, sizeof prosody.certificate, "%s/certificate.pem", prosody.dir);
	prosody_free_port();
	return prosody_run(request) && prosody_folder("data/school%2etest/accounts") && prosody_conf();
}

static void
prosody_show_log(void)
{
	char path[128], line[512];
	FILE *f;

	snprintf(path, sizeof path, "%s/log", prosody.dir);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		fprintf(stderr, "# prosody: %s", line);
	if (f != NULL)
		fclose(f);
}

static int
prosody_unlink_cb(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static bool
prosody_teardown(void)
{
	prosody_end();
	return nftw(prosody.dir, prosody_unlink_cb, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

#endif
