/* SPDX-License-Identifier: MIT */
/* main: arguments of lecternd. */
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/conf.h"
#include "daemon.h"

enum { MAIN_CHECK = 1, MAIN_PRINT, MAIN_VERSION, MAIN_HELP, MAIN_COMPONENT };

static const struct option main_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "component", required_argument, NULL, MAIN_COMPONENT },
	{ "check-config", no_argument, NULL, MAIN_CHECK },
	{ "print-config", no_argument, NULL, MAIN_PRINT },
	{ "version", no_argument, NULL, MAIN_VERSION },
	{ "help", no_argument, NULL, MAIN_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char main_usage[] =
    "usage: lecternd [-c FILE] [--component NAME | --check-config | --print-config]\n"
    "       lecternd --version\n"
    "\n"
    "  -c, --config FILE   configuration (default " LECTERN_CONF ")\n"
    "      --component NAME  run this component alone; it has process = \"own\"\n"
    "      --check-config  read the configuration, say every error, start nothing\n"
    "      --print-config  print the configuration in effect, defaults included\n";

static int
main_print(const struct conf *c)
{
	struct buf out = BUF_INIT(0);
	size_t written;

	conf_print(c, &out);
	written = fwrite(out.data, 1, out.len, stdout);
	if (written != out.len || fflush(stdout) != 0) {
		buf_free(&out);
		return EX_IOERR;
	}
	buf_free(&out);
	return EX_OK;
}

static int
main_with_conf(const char *path, int mode, const char *component)
{
	struct buf causes = BUF_INIT(0);
	struct conf *c = conf_read(path, &causes);
	int status = EX_OK;

	if (c == NULL) {
		fprintf(stderr, "%.*s", STR_ARG(buf_view(&causes)));
		buf_free(&causes);
		return EX_CONFIG;
	}
	buf_free(&causes);
	if (mode == 0)
		return component != NULL ? daemon_run_component(c, component) : daemon_run(c);
	if (mode == MAIN_PRINT)
		status = main_print(c);
	conf_free(c);
	return status;
}

int
main(int argc, char **argv)
{
	const char *path = LECTERN_CONF, *component = NULL;
	int mode = 0, opt;

	while ((opt = getopt_long(argc, argv, "c:", main_options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case MAIN_COMPONENT:
			component = optarg;
			break;
		case MAIN_CHECK:
		case MAIN_PRINT:
			mode = opt;
			break;
		case MAIN_VERSION:
			puts("lecternd " PACKAGE_VERSION);
			return EX_OK;
		case MAIN_HELP:
			fputs(main_usage, stdout);
			return EX_OK;
		default:
			fputs(main_usage, stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "lecternd: unexpected argument \"%s\"\n%s", argv[optind], main_usage);
		return EX_USAGE;
	}
	return main_with_conf(path, mode, component);
}
