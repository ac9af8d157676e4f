/* SPDX-License-Identifier: MIT */
/* Tests of base/conf: the file and its syntax, and that every fault is named
 * at its line. */
#include "tests/unit/conf_rig.h"

/* All faults of meaning in one go, each at its line. */
static void
test_all_causes(void **state)
{
	static const char text[] = "organisation = o\n/* two\nlines */ # and\nlisten { # more\n"
	    "\tport = 0\n\taddress = x\n}\nlimits { max_frame = 1 }\nstate_dir = y\n"
	    "component a { reducers = { \"\" } }\n";
	static const char *causes_in_order[] = { ":5: listen.port", ":6: listen.address",
		":8: limits.max_frame", ":9: state_dir", ":10: component.reducers",
		"key_file is missing", ":10: component \"a\" has no jid", "roster.file is missing" };
	const char *at;
	(void)state;

	assert_null(read_bytes(STR_LIT(text)));
	at = causes.data;
	for (size_t i = 0; i < COUNT(causes_in_order); i++) {
		at = strstr(at, causes_in_order[i]);
		if (at == NULL)
			fail_msg("no \"%s\" in its place in:\n%s", causes_in_order[i], causes.data);
	}
}

/* Whose rule is wrong is told by its line; the causes end in logs. */
static void
test_nobody_is_named(void **state)
{
	static const char *const wrong[] = {
		"opt_out \"student:kid7\" { }", "opt_out student:kid7 { message = x }",
		"opt_out student:kid7 { action = DROP action = DROP }",
		"opt_out student:kid7 { action = DROP until = 7 }", "opt_out student:kid7 { x = y }",
		"opt_out \"kid7@school.edu\" { action = DROP }", "opt_out \"studnt:kid7\" { action = DROP }",
		"opt_out kid7 { }", "opt_out student:kid7 { action = DROP }\nopt_out student:kid7 { }",
		"opt_out student:kid7 { action = DROP", "opt_out student:kid7 kid7 { action = DROP }",
		"opt_out student:kid7",
	};
	char text[256];
	(void)state;

	for (size_t i = 0; i < COUNT(wrong); i++) {
		snprintf(text, sizeof text, BASE "%s\n", wrong[i]);
		if (read_bytes(str_of(text)) != NULL)
			fail_msg("accepted: %s", text);
		if (strstr(causes.data, "kid7") != NULL || strstr(causes.data, file) == NULL)
			fail_msg("%s: %s", wrong[i], causes.data);
	}
}

static void
test_duplicates(void **state)
{
	struct conf *c;
	(void)state;

	refused(STR_LIT(BASE "log_level = info\nlog_level = info"), 3,
	    "log_level stands twice, expected it once; it stands in line 2");
	refused(STR_LIT(BASE "listen { port = 1\nport = 1 }"), 3, "port stands twice");
	refused(STR_LIT(BASE "listen { port = 1 }\nlisten { port = 2 }"), 3, "port stands twice");
	refused(STR_LIT(BASE "listen { hosts = { a }\nhosts = { a, b } }"), 3,
	    "hosts stands twice");
	refused(STR_LIT(BASE "listen { hosts = { a }\nhosts = { } }"), 2, "hosts stands twice");
	refused(STR_LIT(BASE "component a { jid = a.b jid = a.b }"), 2, "jid stands twice");
	refused(STR_LIT(BASE "component a { jid = a.b }\ncomponent a { jid = a.c }"), 3,
	    "a section of the same kind and title stands further up");
	/* one section may stand in parts, and a list may grow */
	c = read_ok(BASE "listen { port = 1 hosts = { a } }\nlisten { hosts += { b, c } }");
	assert_int_equal(c->port, 1);
	assert_list(&c->hosts, "a b c");
	conf_free(c);
	/* the same option of another element */
	conf_free(read_ok(BASE "component a { jid = a.b }\ncomponent b { jid = a.b }"));
}

static void
test_unknown(void **state)
{
	(void)state;
	refused(STR_LIT(BASE "\nprot = 1"), 3,
	    "no such option 'prot' in the top level, expected one of organisation, state_dir, "
	    "key_file, control, log_level, listen, limits, identity, journal, roster, kvs, "
	    "redis, pubsub, postgres, xmpp, auth, audit, component, producer, reader, opt_out");
	refused(STR_LIT(BASE "roster {\nfiel = 1 }"), 3,
	    "no such option 'fiel' in roster, expected one of backend, file, allow_empty");
	refused(STR_LIT(BASE "opt_out a.b { time = 1 }"), 2, "no such option 'time' in opt_out");
	refused(STR_LIT(BASE "include(\"/etc/passwd\")"), 2, "one of ( ) + * | $ outside a string");
	refused(STR_LIT(BASE "include = /etc/passwd"), 2, "no such option 'include'");
	refused(STR_LIT(BASE "listen|port = 80"), 2, "one of ( ) + * | $ outside a string");
	refused(STR_LIT(BASE "\"listen|port\" = 80"), 2, "= does not follow a name");
	refused(STR_LIT(BASE "\"\""), 2, "not understood, expected name = value");
}

static void
test_syntax(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *want;
	} cases[] = {
		{ "listen {\nport = 1\n", 2, "{ is not closed, expected }" },
		{ "listen { hosts = { a }\n\n", 2, "{ is not closed, expected }" },
		{ "\n}", 3, "} closes nothing" },
		{ "log_level = \"info\nx", 2,
		    "a string that does not end in its line, expected \"" },
		{ "\nlog_level = 'info", 3, "a string that does not end in its line, expected '" },
		{ "log_level = \"\\q\"", 2, "unknown escape in a string" },
		{ "log_level = \"\\x00\"", 2, "unknown escape in a string" },
		{ "log_level = \"\\", 2, "unknown escape in a string" },
		{ "log_level = \"${HOME}\"", 2, "${ stands for an environment variable" },
		{ "log_level = ${HOME}", 2, "${ stands for an environment variable" },
		{ "log_level = in*fo", 2, "one of ( ) + * | $ outside a string" },
		{ "/* log\n\n", 2, "a comment that does not end" },
		{ "log_level", 2, "premature end of file" },
		{ "log_level info", 2, "missing equal sign after option 'log_level'" },
		{ "log_level = ", 2, "premature end of file" },
		{ "log_level = { info }", 2, "unexpected token '{'" },
		{ "listen = 3", 2, "missing opening brace for section 'listen'" },
		{ "component { jid = a.b }", 2, "missing title for section 'component'" },
		{ "listen { hosts = { a b } }", 2, "unexpected token 'b'" },
		{ "log_level += info", 2, "attempt to append to non-list option" },
		{ "= 3", 2, "= does not follow a name" },
	};
	struct conf *c;
	(void)state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[512];
		snprintf(text, sizeof text, BASE "%s", cases[i].text);
		refused(str_of(text), cases[i].line, cases[i].want);
	}
	/* a failed parse leaves nothing behind */
	c = read_ok(BASE "log_level = 'debug'");
	assert_string_equal(c->log_level, "debug");
	conf_free(c);
}

/* The environment is not looked at, whatever a string holds. */
static void
test_environment(void **state)
{
	struct conf *c;
	(void)state;

	assert_int_equal(setenv("TEST_CONF", "info", 1), 0);
	refused(STR_LIT(BASE "log_level = \"${TEST_CONF}\""), 2, "${");
	c = read_ok("state_dir = /s key_file = '/${TEST_CONF}'\n"
	    "roster { file = \"/\\${TEST_CONF}\" }\n"
	    "organisation = \"$TEST_CONF\" // ${TEST_CONF}");
	assert_string_equal(c->key_file, "/${TEST_CONF}");
	assert_string_equal(c->roster_file, "/${TEST_CONF}");
	assert_string_equal(c->organisation, "$TEST_CONF");
	conf_free(c);
}

static void
test_comments(void **state)
{
	struct conf *c = read_ok("#\n##\n/**/ organisation = http://a//b # { } \" '\n"
	    "state_dir = /s // \" { ${x}\nkey_file = /* \" */ '/k#'\n"
	    "roster { /* } */ file = /r /*c*/ }");
	(void)state;

	assert_string_equal(c->organisation, "http://a//b");
	assert_string_equal(c->key_file, "/k#");
	conf_free(c);
}

static void
test_bytes(void **state)
{
	struct conf *c;
	(void)state;

	refused(STR_LIT("\xff\xfeo\0r\0"), 1, "byte offset 0: UTF-16 text, expected UTF-8");
	refused(STR_LIT("\xfe\xff\0o\0r"), 1, "byte offset 0: UTF-16 text, expected UTF-8");
	refused(STR_LIT("o\0r\0"), 1, "byte offset 0: UTF-16 text, expected UTF-8");
	refused(STR_LIT("\n# ab\0"), 2,
	    "byte offset 5: control character 0x00, expected UTF-8 text");
	refused(STR_LIT("\n\n\"caf\xe9\""), 3,
	    "byte offset 6: invalid UTF-8 byte 0xe9, expected UTF-8 text");
	refused(STR_LIT("# \xed\xa0\x80"), 1, "byte offset 2: invalid UTF-8 byte 0xed");
	refused(STR_LIT("a\x1b"), 1, "byte offset 1: control character 0x1b");
	c = read_ok("\xef\xbb\xbforganisation = \"\xf0\x9f\x98\x80\"\r\nstate_dir = /s\r\n# x\r\n"
	    "key_file = /k\r\nroster {\r\n\tfile = '/r'\r\n}\r\n");
	assert_string_equal(c->organisation, "\xf0\x9f\x98\x80");
	assert_string_equal(c->state_dir, "/s");
	conf_free(c);
	refused(STR_LIT("\r\n\r\nstate_dir = x\r\n"), 3, "state_dir is not valid");
	refused(STR_LIT("\xef\xbb\xbf\xef\xbb\xbf" BASE), 1, "no such option");
}

static void
refused_path(const char *path, const char *want)
{
	assert_null(read_path(path));
	if (strncmp(causes.data, path, strlen(path)) != 0 || strstr(causes.data, want) == NULL)
		fail_msg("%s: no \"%s\" in %s", path, want, causes.data);
}

/* None of these may hang. */
static void
test_file(void **state)
{
	char path[96];
	struct buf big = BUF_INIT(0);
	(void)state;

	snprintf(path, sizeof path, "%s/missing", dir);
	refused_path(path, "cannot be opened: No such file or directory");
	refused_path(dir, "is a directory, expected a regular file");
	refused_path("/dev/zero", "is a device or socket, expected a regular file");
	snprintf(path, sizeof path, "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused_path(path, "is a FIFO, expected a regular file");
	assert_int_equal(unlink(path), 0);
	if (geteuid() != 0) { /* root may read everything */
		put(STR_LIT(BASE));
		assert_int_equal(chmod(file, 0), 0);
		refused_path(file, "cannot be opened: Permission denied");
	}
	put(STR_LIT(BASE));
	assert_int_equal(chmod(file, 0646), 0);
	refused_path(file, "anybody may write to it");
	buf_z(&big, BASE);
	while (big.len < CONF_FILE_MAX)
		buf_byte(&big, ' ');
	conf_free(read_bytes(buf_view(&big)));
	buf_byte(&big, ' ');
	refused(buf_view(&big), 0, "is larger than 1048576 bytes");
	buf_free(&big);
	assert_int_equal(truncate(file, (off_t)1 << 31), 0);
	refused_path(file, "is larger than 1048576 bytes");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_causes),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_nobody_is_named),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests_name("conf_text", tests, rig_setup, rig_teardown);
}
