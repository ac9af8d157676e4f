/* SPDX-License-Identifier: MIT */
/* ctl/password: see password.h. */
#include "ctl/password.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "base/mem.h"

#define PASSWORD_MAX 1024

/* One line without its end. */
static char *
password_line(FILE *f)
{
	char line[PASSWORD_MAX];
	char *copy = NULL;

	if (fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		copy = mem_strdup(line);
	}
	mem_wipe(line, sizeof line);
	return copy;
}

static char *
password_file(const char *path)
{
	FILE *f = fopen(path, "re");
	char *password;

	if (f == NULL) {
		fprintf(stderr, "lecternctl: %s: %s\n", path, strerror(errno));
		return NULL;
	}
	setvbuf(f, NULL, _IONBF, 0); /* no copy in a buffer that nobody wipes */
	password = password_line(f);
	fclose(f);
	if (password == NULL)
		fprintf(stderr, "lecternctl: %s is empty\n", path);
	return password;
}

static char *
password_ask(const char *who)
{
	FILE *tty = fopen("/dev/tty", "r+e");
	struct termios as_it_is, quiet;
	char *password;

	if (tty == NULL || tcgetattr(fileno(tty), &as_it_is) != 0) {
		fputs("lecternctl: no password: give --password-file or LECTERN_PASSWORD\n",
		    stderr);
		if (tty != NULL)
			fclose(tty);
		return NULL;
	}
	setvbuf(tty, NULL, _IONBF, 0);
	fprintf(tty, "Password of %s: ", who);
	quiet = as_it_is;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	password = password_line(tty);
	tcsetattr(fileno(tty), TCSAFLUSH, &as_it_is);
	fputc('\n', tty);
	fclose(tty);
	return password;
}

char *
ctl_password(const char *file, const char *variable, const char *who)
{
	char *value = getenv(variable), *password;

	if (file != NULL)
		return password_file(file);
	if (value == NULL)
		return password_ask(who);
	password = mem_strdup(value);
	mem_wipe(value, strlen(value)); /* children and /proc shall not see it */
	unsetenv(variable);
	return password;
}
