/* SPDX-License-Identifier: MIT */
/* postgres_rig: a private PostgreSQL in a folder of its own, reached by a Unix
 * socket or a free port of 127.0.0.1 and with a password, that can be killed, stopped and started
 * again. It ends with the test program. What the rig asks it goes by libpq
 * itself, not by what is tested. */
#ifndef LECTERN_TEST_POSTGRES_RIG_H
#define LECTERN_TEST_POSTGRES_RIG_H

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
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

#define POSTGRES_PASSWORD "correct horse"
#define POSTGRES_READY_TRIES 3000 /* of 10 ms */

static struct {
	char dir[64], bin[256], conninfo[256], password_file[128];
	char port[8];
	pid_t pid;
} postgres;

/* PostgreSQL refuses to be root: then it is an ordinary user of the machine. */
static void
postgres_be_ordinary(void)
{
	struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;

	if (nobody != NULL && (setgroups(0, NULL) != 0 || setgid(nobody->pw_gid) != 0 ||
	    setuid(nobody->pw_uid) != 0))
		_exit(125);
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
}

/* Starts a program of PostgreSQL whose output goes to a log in the folder. */
static pid_t
postgres_spawn(const char *program, char *const argv[])
{
	char path[400], log[128];
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	snprintf(path, sizeof path, "%s/%s", postgres.bin, program);
	snprintf(log, sizeof log, "%s/log", postgres.dir);
	postgres_be_ordinary();
	if (chdir(postgres.dir) != 0 || (fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600)) < 0 ||
	    dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	execv(path, argv);
	_exit(127);
}

static bool
postgres_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool ok = f != NULL && fputs(text, f) >= 0;

	return f != NULL && fclose(f) == 0 && ok && chmod(path, 0600) == 0;
}

/* Debian keeps the programs beside each other, one folder a version. */
static bool
postgres_find(void)
{
	glob_t found;
	bool ok = glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0 && found.gl_pathc > 0;

	if (ok) {
		snprintf(postgres.bin, sizeof postgres.bin, "%s", found.gl_pathv[found.gl_pathc - 1]);
		*strrchr(postgres.bin, '/') = '\0';
	}
	globfree(&found);
	return ok;
}

static void
postgres_free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&a, n) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		abort();
	close(fd);
	snprintf(postgres.port, sizeof postgres.port, "%u", ntohs(a.sin_port));
}

static bool
postgres_init(void)
{
	char data[128], pwfile[160];
	char *argv[] = { "initdb", "-D", data, "-U", "lectern", "-A", "scram-sha-256", "--pwfile", pwfile,
		"--no-sync", "-E", "UTF8", "--locale=C", NULL };
	struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
	int status;

	snprintf(data, sizeof data, "%s/data", postgres.dir);
	snprintf(pwfile, sizeof pwfile, "%s/pw", postgres.dir);
	snprintf(postgres.password_file, sizeof postgres.password_file, "%s/password", postgres.dir);
	postgres_free_port();
	snprintf(postgres.conninfo, sizeof postgres.conninfo,
	    "host=%s port=%s dbname=postgres user=lectern", postgres.dir, postgres.port);
	if (!postgres_write(postgres.password_file, POSTGRES_PASSWORD "\n") ||
	    !postgres_write(pwfile, POSTGRES_PASSWORD "\n"))
		return false;
	if (nobody != NULL && (chown(postgres.dir, nobody->pw_uid, nobody->pw_gid) != 0 ||
	    chown(pwfile, nobody->pw_uid, nobody->pw_gid) != 0))
		return false;
	return waitpid(postgres_spawn("initdb", argv), &status, 0) > 0 && status == 0;
}

static void
postgres_silent_cb(void *arg, const char *text)
{
	(void)arg;
	(void)text;
}

/* Asks the server something of its own. False, with what it says in *trouble unless
 * that is NULL (free it), when it refuses. */
static bool
postgres_try(const char *sql, char **trouble)
{
	char all[512];
	PGconn *pg;
	PGresult *r;
	bool ok;

	snprintf(all, sizeof all, "%s password='" POSTGRES_PASSWORD "'", postgres.conninfo);
	pg = PQconnectdb(all);
	PQsetNoticeProcessor(pg, postgres_silent_cb, NULL);
	r = PQexec(pg, sql);
	ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
	if (!ok && trouble != NULL)
		*trouble = strdup(PQerrorMessage(pg));
	PQclear(r);
	PQfinish(pg);
	return ok;
}

/* The same; ends the test when it refuses. */
static inline void
postgres_exec(const char *sql)
{
	char *trouble = NULL;

	if (postgres_try(sql, &trouble))
		return;
	fprintf(stderr, "%s: %s", sql, trouble);
	abort();
}

static bool
postgres_up(void)
{
	char data[128];
	char *argv[] = { "postgres", "-D", data, "-k", postgres.dir, "-h", "127.0.0.1", "-p",
		postgres.port, "-F", "-c",
		"shared_buffers=4MB", "-c", "max_connections=20", "-c", "log_min_messages=fatal", NULL };

	snprintf(data, sizeof data, "%s/data", postgres.dir);
	postgres.pid = postgres_spawn("postgres", argv);
	for (int i = 0; i < POSTGRES_READY_TRIES; i++) {
		if (PQping(postgres.conninfo) == PQPING_OK)
			return true;
		if (waitpid(postgres.pid, NULL, WNOHANG) != 0)
			return false;
		usleep(10000);
	}
	return false;
}

static void
postgres_end(int signum)
{
	int status;

	if (postgres.pid <= 0)
		return;
	kill(postgres.pid, SIGCONT);
	kill(postgres.pid, signum);
	waitpid(postgres.pid, &status, 0);
	postgres.pid = 0;
}

static int
postgres_unlink_cb(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static int
postgres_setup(void **state)
{
	(void)state;
	snprintf(postgres.dir, sizeof postgres.dir, "/tmp/lectern-pg-XXXXXX");
	if (mkdtemp(postgres.dir) == NULL || !postgres_find()) {
		fprintf(stderr, "PostgreSQL is not installed: /usr/lib/postgresql/*/bin/initdb\n");
		return -1;
	}
	return postgres_init() && postgres_up() ? 0 : -1;
}

static int
postgres_teardown(void **state)
{
	(void)state;
	postgres_end(SIGQUIT);
	return nftw(postgres.dir, postgres_unlink_cb, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
