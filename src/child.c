/* SPDX-License-Identifier: MIT */
/* child: see child.h. */
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The journal's lock lives as long as any copy of its descriptor: all are closed. */
static _Noreturn void
child_run(pid_t parent, bool (*work)(void *arg), void *arg)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(1);
	if (close_range(3, ~0U, 0) != 0)
		_exit(1);
	_exit(work(arg) ? 0 : 1);
}

/* A child's signals would come to us through libuv's pipe, as if they were ours:
 * a SIGTERM to all processes of the service would be our second one. */
pid_t
child_start(bool (*work)(void *arg), void *arg)
{
	pid_t parent = getpid(), child;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	child = fork();
	if (child == 0)
		child_run(parent, work, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return child;
}

enum child_end
child_reap(pid_t child, bool block)
{
	int status = 0;
	pid_t got;

	do
		got = waitpid(child, &status, block ? 0 : WNOHANG);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return CHILD_RUNS;
	return got > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CHILD_DONE : CHILD_FAILED;
}
