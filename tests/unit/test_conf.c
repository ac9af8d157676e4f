/* SPDX-License-Identifier: MIT */
/* Tests of base/conf: what the options accept, that the printed configuration
 * reads back, what a reload may change, and that the documents are true. */
#include "tests/unit/conf_rig.h"

static void
test_defaults(void **state)
{
	struct conf *c = read_ok(BASE);
	(void)state;

	assert_string_equal(c->path, file);
	assert_string_equal(c->organisation, "o");
	assert_string_equal(c->control, "/s/lectern.sock");
	assert_string_equal(c->log_level, "notice");
	assert_string_equal(c->address, "127.0.0.1");
	assert_int_equal(c->port, 8080);
	assert_null(c->tls_certificate);
	assert_int_equal(c->origins.n, 0);
	assert_false(c->allow_no_origin);
	assert_int_equal(c->max_frame, 4 << 20);
	assert_int_equal(c->max_fragments, 64);
	assert_int_equal(c->handshake_timeout, 10);
	assert_int_equal(c->frame_timeout, 30);
	assert_int_equal(c->max_connections, 20000);
	assert_int_equal(c->max_connections_per_address, 0);
	assert_int_equal(c->write_queue, 64 << 10);
	assert_int_equal(c->held_events, 64);
	assert_int_equal(c->held_bytes, 256 << 10);
	assert_int_equal(c->methods.n, 0);
	assert_null(c->token_key_file);
	assert_false(c->allow_guest);
	assert_int_equal(c->segment_size, 64 << 20);
	assert_int_equal(c->snapshot_records, 1000000);
	assert_string_equal(c->roster_backend, "csv");
	assert_false(c->roster_allow_empty);
	assert_string_equal(c->kvs_backend, "memory");
	assert_string_equal(c->xmpp_host, "");
	assert_int_equal(c->xmpp_port, 5347);
	assert_int_equal(c->xmpp_window, 200);
	assert_int_equal(c->xmpp_keepalive, 30);
	assert_int_equal(c->n_components, 0);
	assert_int_equal(c->n_opt_outs, 0);
	conf_free(c);
	conf_free(NULL);
}

/* Everything set, to values that are no defaults. */
static const char everything[] =
    "organisation = \"caf\xc3\xa9 \\\"o\\\\ \\$x \\t\\n\"\n"
    "state_dir = '/st ate'\n"
    "key_file = /k\n"
    "control = /run/c.sock\n"
    "log_level = debug\n"
    "listen { address = \"::\" port = 443 tls_certificate = /c.pem tls_key = /k.pem\n"
    "\torigins = { \"https://a.example\", \"http://[::1]:8080\",\n"
    "\t  \"chrome-extension://abcdef\" } allow_no_origin = true\n"
    "\ttrusted_proxies = { 10.0.0.1, \"fe80::1\" } hosts = { a.example, \"b:81\" } }\n"
    "limits { max_frame = 65537 max_fragments = 2 handshake_timeout = 3 frame_timeout = 4\n"
    "\tmax_connections = 5 max_connections_per_address = 6 write_queue = 8k held_events = 7\n"
    "\theld_bytes = 1M }\n"
    "identity { methods = { token, guest } token_key_file = /t user_file = /u allow_guest = on }\n"
    "journal { segment_size = \"1G\" snapshot_records = 8 }\n"
    "roster { backend = csv file = /roster allow_empty = yes domain = s.example admins = { a@b } }\n"
    "kvs { backend = redis file = /s.db ttl = 61 state_cache = 5 }\n"
    "redis { address = \"[::2]:7\" user = u password_file = /p database = 3 prefix = \"p:\"\n"
    "\tinsecure_ok = true timeout = 9 }\n"
    "pubsub { backends = { redis, memory } follow = true }\n"
    "postgres { conninfo = 'host=h user=u' password_file = /pw timeout = 11 }\n"
    "xmpp { host = 10.1.2.3 port = 1 server = school.example insecure_ok = true keepalive = 7\n"
    "  window = 9\n"
    "\tpubsub_service = ps.school.example pubsub_max_items = 1000\n"
    "\tcontact = { \"mailto:a@b\", \"https://b/?c#d\" } privacy_policy = \"http://b:81/p\"\n"
    "\tadmins = { a@b } }\n"
    "auth { backends = { xmpp, file, sqlite, postgres } file = /p database = /d domain = school.example xmpp_host = h\n"
    "\txmpp_port = 5 xmpp_ca = /ca session = 60 idle = 61 admins = { a@b, c@d } }\n"
    "audit { enabled = false file = /a }\n"
    "component \"writing\" { jid = w.school.example secret_file = /w reducers = { a, b }\n"
    "\tpubsub = { xmpp-server, xmpp }\n"
    "\tprocess = own }\n"
    "component \"*\" { jid = lectern.school.example secret_file = '/${x}' }\n"
    "producer \"counts\" { jid = me@school.example sources = { org.a, org.b }\n"
    "\treducers = { counts.words } scope = { doc_id } }\n"
    "reader r@s { classes = { a, b } reducers = { c } }\n"
    "opt_out \"blocked.edu\" { action = DROP time_limit = 60000 message = \"no # {\"\n"
    "\tuntil = 2026-12-24 }\n"
    "opt_out '*' { action = MAINTAIN time_limit = DAYS message = \"\" }\n"
    "opt_out \"class:7 b\" { action = DROP }\n"
    "opt_out \"student:kid@a.b\" { action = DROP until = '2026-12-24T08:00:00Z' }\n";

static void
test_everything(void **state)
{
	struct conf *c = read_ok(everything);
	(void)state;

	assert_string_equal(c->organisation, "caf\xc3\xa9 \"o\\ $x \t\n");
	assert_string_equal(c->state_dir, "/st ate");
	assert_string_equal(c->control, "/run/c.sock");
	assert_string_equal(c->tls_key, "/k.pem");
	assert_list(&c->origins,
	    "https://a.example http://[::1]:8080 chrome-extension://abcdef");
	assert_list(&c->trusted_proxies, "10.0.0.1 fe80::1");
	assert_list(&c->hosts, "a.example b:81");
	assert_true(c->allow_no_origin && c->allow_guest && c->roster_allow_empty);
	assert_int_equal(c->max_frame, 65537);
	assert_int_equal(c->held_bytes, 1 << 20);
	assert_int_equal(c->segment_size, 1 << 30);
	assert_list(&c->methods, "token guest");
	assert_int_equal(c->n_components, 2);
	assert_string_equal(c->components[0].name, "writing");
	assert_string_equal(c->components[0].jid, "w.school.example");
	assert_list(&c->components[0].reducers, "a b");
	assert_list(&c->pubsub_stores, "redis memory");
	assert_true(c->pubsub_follow);
	assert_list(&c->components[0].pubsub, "xmpp-server xmpp");
	assert_list(&c->components[1].pubsub, "xmpp");
	assert_string_equal(c->components[1].name, "*");
	assert_string_equal(c->components[1].secret_file, "/${x}");
	assert_string_equal(c->components[0].process, "own");
	assert_string_equal(c->components[1].process, "daemon");
	assert_int_equal(c->n_producers, 1);
	assert_string_equal(c->producers[0].name, "counts");
	assert_string_equal(c->producers[0].jid, "me@school.example");
	assert_list(&c->producers[0].sources, "org.a org.b");
	assert_list(&c->producers[0].reducers, "counts.words");
	assert_list(&c->producers[0].scope, "doc_id");
	assert_int_equal(c->n_opt_outs, 4);
	assert_string_equal(c->opt_outs[0].time_limit, "60000");
	assert_string_equal(c->opt_outs[0].message, "no # {");
	assert_string_equal(c->opt_outs[1].whom, "*");
	assert_string_equal(c->opt_outs[2].whom, "class:7 b");
	assert_string_equal(c->opt_outs[0].until, "2026-12-24");
	assert_string_equal(c->opt_outs[3].until, "2026-12-24T08:00:00Z");
	conf_free(c);
}

/* Every option of the table differs from its default in `everything`, so that
 * the tests on it cover the whole table. */
static void
test_everything_is_everything(void **state)
{
	struct conf *c = read_ok(everything), *plain = read_ok(BASE);
	(void)state;

	for (size_t i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];
		const struct conf_section *s = conf_section_find(row->section);

		assert_non_null(s);
		assert_ptr_equal(conf_row_find(row->section, row->name), row);
		if (s->item == 0 && row->known == NULL && !row->required &&
		    conf_value_equal(row, c, plain))
			fail_msg("%s.%s is not covered", row->section, row->name);
		if (s->item > 0)
			assert_false(conf_value_empty(row, conf_section_at(c, s, 0)));
	}
	conf_free(c);
	conf_free(plain);
}

static void
test_print_reads_back(void **state)
{
	static const char *texts[] = { BASE, everything };
	(void)state;

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct conf *a = read_ok(texts[i]), *b;
		struct buf first = BUF_INIT(0), second = BUF_INIT(0);

		conf_print(a, &first);
		b = read_bytes(buf_view(&first));
		if (b == NULL)
			fail_msg("%.*s\n%s", STR_ARG(buf_view(&first)), causes.data);
		conf_print(b, &second);
		assert_true(str_eq(buf_view(&first), buf_view(&second)));
		for (size_t r = 0; r < conf_n_rows; r++)
			if (conf_section_find(conf_rows[r].section)->item == 0)
				assert_true(conf_value_equal(&conf_rows[r], a, b));
		assert_int_equal(a->n_components, b->n_components);
		assert_int_equal(a->n_opt_outs, b->n_opt_outs);
		buf_free(&first);
		buf_free(&second);
		conf_free(a);
		conf_free(b);
	}
}

static void
test_required(void **state)
{
	static const char *texts[] = { "", "\n", "# only a comment", "\xef\xbb\xbf" };
	(void)state;

	for (size_t i = 0; i < COUNT(texts); i++) {
		refused(str_of(texts[i]), 0, "organisation is missing, expected organisation = ");
		refused(str_of(texts[i]), 0, "state_dir is missing");
		refused(str_of(texts[i]), 0, "key_file is missing");
		refused(str_of(texts[i]), 0, "roster.file is missing");
	}
	refused(STR_LIT("organisation = \"\"\n"), 1,
	    "organisation \"\" is not valid, expected a name");
	refused(STR_LIT(BASE "component a {\n}\n"), 3, "component \"a\" has no jid");
	refused(STR_LIT(BASE "opt_out \"a.b\" { message = x }"), 2,
	    "opt_out \"...\" has no action");
}

static void
test_numbers(void **state)
{
	static const char *bad[] = { "0", "65536", "-1", "abc", "\"\"", "1.5", "0x50", "+80", "8k",
		"\" 80\"", "\"80 \"", "99999999999999999999", "8080;" };
	char text[256];
	(void)state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof text, BASE "listen {\nport = %s }", bad[i]);
		if (strcmp(bad[i], "+80") == 0)
			refused(str_of(text), 3, "one of ( ) + * | $ outside a string");
		else
			refused(str_of(text), 3, "listen.port \"");
	}
	conf_free(read_ok(BASE "listen { port = 65535 }"));
	conf_free(read_ok(BASE "listen { port = \"1\" }"));
}

static void
test_sizes(void **state)
{
	static const char *bad[] = { "0", "1023", "\"10 GB\"", "10GB", "1K", "1m", "1g", "1T",
	    "16385k",
		"-4M", "4M4", "M", "99999999999999999999", "9223372036854775807k", "17179869184G" };
	static const struct {
		const char *text;
		long want;
	} good[] = { { "1024", 1024 }, { "1k", 1024 }, { "\"2M\"", 2 << 20 },
	    { "16384k", 16 << 20 } };
	char text[256];
	(void)state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof text, BASE "limits { max_frame = %s }", bad[i]);
		refused(str_of(text), 2, "limits.max_frame \"");
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		struct conf *c;
		snprintf(text, sizeof text, BASE "limits { max_frame = %s }", good[i].text);
		c = read_ok(text);
		assert_int_equal(c->max_frame, good[i].want);
		conf_free(c);
	}
}

static void
test_words(void **state)
{
	(void)state;
	refused(STR_LIT(BASE "log_level = loud"), 2,
	    "log_level \"loud\" is not valid, expected one of error, warning, notice, info, debug");
	refused(STR_LIT(BASE "identity { methods = { guest,\n magic } }"), 3,
	    "identity.methods \"magic\" is not valid, expected one of token, testcase_auth, "
	    "local_storage, chromebook, hash_identify, guest");
	refused(STR_LIT(BASE "roster { backend = ldap }"), 2,
	    "roster.backend \"ldap\" is not valid, expected one of csv");
	refused(STR_LIT(BASE "kvs { backend = rediss }"), 2,
	    "kvs.backend \"rediss\" is not valid, expected one of memory, disk, redis, "
	    "redis_ephemeral");
	refused(STR_LIT(BASE "producer a { jid = \"*\" }"), 2, "producer.jid \"*\" is not valid");
	refused(STR_LIT(BASE "producer a { jid = \"*.b.c\" }"), 2, "producer.jid");
	refused(STR_LIT(BASE "producer a { jid = \"me@\" }"), 2, "producer.jid");
	refused(STR_LIT(BASE "producer a { jid = \"me@b.c/d\" }"), 2, "producer.jid");
	refused(STR_LIT(BASE "producer \"*\" { jid = b.c }"), 2, "producer \"*\" is not valid");
	refused(STR_LIT(BASE "producer a { jid = b.c reducers = { words } }"), 2,
	    "producer.reducers \"words\" is not valid, expected component.name");
	refused(STR_LIT(BASE "producer a { jid = b.c }"), 2,
	    "a process of its own needs the XMPP server");
	refused(STR_LIT(BASE "component a { jid = b.c process = own }"), 2,
	    "a process of its own needs the XMPP server");
	refused(STR_LIT(BASE "xmpp { host = \"::1\" server = b.c }\n"
	    "component a { jid = b.c secret_file = /s process = own }"), 3,
	    "a process of its own needs a component of the daemon");
	refused(STR_LIT(BASE "xmpp { host = \"::1\" server = b.c }\n"
	    "component '*' { jid = b.c secret_file = /s process = own }"), 3,
	    "component \"*\" cannot have a process of its own");
	refused(STR_LIT(BASE "opt_out \"a.b\" { action = drop }"), 2,
	    "opt_out.action \"drop\" is not valid, expected one of TRANSMIT, MAINTAIN, DROP");
	refused(STR_LIT(BASE "opt_out \"a.b\" { action = DROP time_limit = HOURS }"), 2,
	    "opt_out.time_limit \"HOURS\" is not valid, expected one of MINUTES, DAYS, PERMANENT");
	refused(STR_LIT(BASE "opt_out \"a.b\" { action = DROP time_limit = 1.5 }"), 2,
	    "opt_out.time_limit");
	refused(STR_LIT(BASE "opt_out \"a b\" { action = DROP }"), 2,
	    "opt_out \"...\" is not valid");
	refused(STR_LIT(BASE "opt_out \"student:\" { action = DROP }"), 2,
	    "opt_out \"student:...\" is not valid, expected \"student:ID\", \"class:NAME\"");
	refused(STR_LIT(BASE "opt_out \"class: \" { action = DROP }"), 2,
	    "opt_out \"class:...\" is not valid");
	refused(STR_LIT(BASE "opt_out a.b { action = DROP until = tomorrow }"), 2,
	    "opt_out.until \"tomorrow\" is not valid, expected a day such as 2026-12-24");
	refused(STR_LIT(BASE "listen { allow_no_origin = maybe }"), 2,
	    "listen.allow_no_origin \"maybe\" is not valid, expected true or false");
}

/* A path may be a secret put in the wrong place: it is not shown. */
static void
test_paths(void **state)
{
	(void)state;
	refused(STR_LIT("key_file = hunter2"), 1,
	    "key_file is not valid, expected an absolute path");
	assert_null(strstr(causes.data, "hunter2"));
	refused(STR_LIT(BASE "component a { jid = a.b secret_file = \"\" }"), 2,
	    "component.secret_file is not valid, expected an absolute path");
	refused(STR_LIT(BASE "control = /" "01234567890123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789012345678901234567890"), 2,
	    "control is not valid, expected an absolute path of at most 107 bytes");
	refused(STR_LIT("organisation = o key_file = /k roster { file = /r }\nstate_dir = /"
	    "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
	    "0123456789012345678901234567890"), 2, "state_dir is too long for lectern.sock in it");
}

static void
test_origins(void **state)
{
	static const char *bad[] = { "*", "https://*.a.example", "https://a.example/", "a.example",
		"https://a.example/x", "HTTPS://a.example", "https://A.example", "https://", "://a",
		"https://a.example:", "https://a.example:99999999", "https://a.example:0x",
		"https://a..example", "https://a b", "https://u@a.example", "https://a.example?x",
		"https://[::1", "https://[::1]x", "https://[a.b]", "null", "" };
	static const char *good[] = { "https://a.example", "http://localhost:3000",
		"https://docs.google.com", "http://127.0.0.1", "http://[fe80::1]:81",
		"moz-extension://0a-b" };
	char text[256];
	(void)state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof text, BASE "listen { origins = {\n\"%s\" } }", bad[i]);
		refused(str_of(text), 3, "listen.origins \"");
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		snprintf(text, sizeof text, BASE "listen { origins = { \"%s\" } }", good[i]);
		conf_free(read_ok(text));
	}
	refused(STR_LIT(BASE "listen { address = localhost }"), 2, "listen.address \"localhost\"");
	refused(STR_LIT(BASE "listen { trusted_proxies = { \"10.0.0.0/8\" } }"), 2,
	    "listen.trusted_proxies \"10.0.0.0/8\"");
	refused(STR_LIT(BASE "listen { hosts = { \"https://a\" } }"), 2,
	    "listen.hosts \"https://a\"");
}

static void
test_together(void **state)
{
	(void)state;
	refused(STR_LIT(BASE "listen {\ntls_key = /k }"), 3,
	    "listen.tls_key without tls_certificate, expected both or neither");
	refused(STR_LIT(BASE "listen {\ntls_certificate = /k }"), 3,
	    "listen.tls_certificate without tls_key, expected both or neither");
	refused(STR_LIT(BASE "identity { methods = { guest,\ntoken } }"), 2,
	    "identity.methods has \"token\" without a key, expected token_key_file");
	refused(STR_LIT(BASE "pubsub { backends = { memory }\nfollow = true }"), 3,
	    "pubsub.follow without a Redis to follow, expected backends = { \"redis\" }");
	refused(STR_LIT(BASE "xmpp { host = ::1 }"), 2, "xmpp.host without any component");
	refused(STR_LIT(BASE "xmpp { host = ::1 }"), 2, "xmpp.host without server");
	refused(STR_LIT(BASE "xmpp { host = ::1 server = s }\ncomponent a { jid = a.b\n}"), 4,
	    "component \"a\" has no secret_file");
	conf_free(read_ok(BASE "component a { jid = a.b }"));
}

static void
test_jids(void **state)
{
	static const char *bad[] = { "*", "*.school.example", "a@school.example",
	    "school.example/x",
		"", ".a", "a.", "a..b", "a b", "%", "#" };
	char text[256];
	(void)state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof text, BASE "component a {\njid = \"%s\" }", bad[i]);
		refused(str_of(text), 3, "component.jid \"");
	}
	conf_free(read_ok(BASE "component a { jid = \"sch\xc3\xb6ne.example\" }"));
	refused(STR_LIT(BASE "component \"Writing\" { jid = a.b }"), 2,
	    "component \"Writing\" is not valid");
	refused(STR_LIT(BASE "component \"\" { jid = a.b }"), 2, "component \"\" is not valid");
}

static void
test_people(void **state)
{
	static const char *bad[] = { "*", "*@school.example", "a", "school.example", "a@", "@b",
	    "a@b/x", "a b@c", "a@*", "" };
	char text[256];
	struct conf *c;
	(void)state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof text, BASE "\nreader \"%s\" {\nclasses = { a } }", bad[i]);
		refused(str_of(text), 4, "reader \"");
		snprintf(text, sizeof text, BASE "xmpp {\nadmins = { \"a@b\",\n\"%s\" } }", bad[i]);
		refused(str_of(text), 4, "xmpp.admins \"");
	}
	refused(STR_LIT(BASE "reader a@b { reducers = { x } }"), 2, "reader \"a@b\" has no classes");
	c = read_ok(BASE "reader a@b { classes = { \"7b\", \"8a\" } reducers = { x.y } }\n"
	    "xmpp { admins = { \"Ä@b\" } }");
	assert_int_equal(c->n_readers, 1);
	assert_string_equal(c->readers[0].jid, "a@b");
	assert_list(&c->readers[0].classes, "7b 8a");
	assert_list(&c->readers[0].reducers, "x.y");
	assert_list(&c->xmpp_admins, "Ä@b");
	conf_free(c);
}

/* Who runs the service is told to whoever asks: what no client could open must
 * not get there. */
static void
test_contact(void **state)
{
	static const char *bad[] = { "", "admin@school.example", "mailto:", "mailto:admin",
	    "mailto:a b@c", "mailto:a@b,c@d", "xmpp:", "xmpp:school.example", "xmpp:a@b/c",
	    "MAILTO:a@b", "javascript:alert(1)", "https://", "https:///x", "https://a b/",
	    "http://u@h/", "https://h:0/", "https://h/<p>", "https://h/\xc3\xa9", "ftp://h/",
	    "mailto:\xc3\xa9@b" };
	static const char *good[] = { "mailto:a@b", "mailto:a@b?subject=x%20y", "xmpp:a@b",
	    "xmpp:a@b?message", "https://h", "http://h:81/p?q#f", "https://[::1]/" };
	char text[256];
	(void)state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof text, BASE "xmpp {\ncontact = {\n\"%s\" } }", bad[i]);
		refused(str_of(text), 4, "xmpp.contact \"");
		snprintf(text, sizeof text, BASE "xmpp {\nprivacy_policy = \"%s\" }", bad[i]);
		if (bad[i][0] != '\0')
			refused(str_of(text), 3, "xmpp.privacy_policy \"");
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		snprintf(text, sizeof text, BASE "xmpp {\ncontact = { \"%s\" } }", good[i]);
		conf_free(read_ok(text));
	}
	refused(STR_LIT(BASE "xmpp {\nprivacy_policy = \"mailto:a@b\" }"), 3,
	    "xmpp.privacy_policy \"");
}

/* A password would be seen in --print-config. */
static void
test_conninfo(void **state)
{
	static const char *bad[] = { "host=db password=x", "host=db  password = x",
	    "postgresql://lectern:x@db/lectern", "postgres://:x@db" };
	static const char *good[] = { "", "host=/run/postgresql dbname=lectern user=lectern",
	    "postgresql://lectern@db:5432/lectern", "postgresql://db:5432/lectern" };
	char text[256];
	(void)state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof text, BASE "postgres {\nconninfo = \"%s\" }", bad[i]);
		refused(str_of(text), 3, "postgres.conninfo holds a password");
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		snprintf(text, sizeof text, BASE "postgres { conninfo = \"%s\" }", good[i]);
		conf_free(read_ok(text));
	}
	refused(STR_LIT(BASE "roster {\nbackend = \"postgres\" }"), 3,
	    "roster.backend \"postgres\" without a database, expected postgres { conninfo");
}

static void
test_remote_plaintext(void **state)
{
	static const char *remote[] = { "10.0.0.1", "xmpp.example", "128.0.0.1", "::2", "0.0.0.0",
		"127.0.0.1.example", "localhost.example" };
	static const char *local[] = { "127.0.0.1", "127.1.2.3", "::1", "localhost",
	    "/run/x.sock" };
	char text[256];
	const char *component = "component a { jid = a.b secret_file = /c }";
	(void)state;

	for (size_t i = 0; i < COUNT(remote); i++) {
		snprintf(text, sizeof text, BASE "xmpp {\nhost = \"%s\" }\n%s", remote[i],
		    component);
		refused(str_of(text), 3, "xmpp.host \"");
		assert_non_null(strstr(causes.data, "insecure_ok = true"));
		snprintf(text, sizeof text,
		    BASE "xmpp { host = \"%s\" server = s insecure_ok = true }\n%s",
		    remote[i], component);
		conf_free(read_ok(text));
	}
	for (size_t i = 0; i < COUNT(local); i++) {
		snprintf(text, sizeof text, BASE "xmpp { host = \"%s\" server = s }\n%s", local[i],
		    component);
		conf_free(read_ok(text));
	}
}

static void
test_redis(void **state)
{
	static const char *const bad[] = { "10.0.0.1", "redis.example:6379", "[::2]:6379" };
	static const char *const good[] = { "127.0.0.1", "localhost:1", "[::1]:65535",
		"unix:/run/redis.sock" };
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof text, BASE "redis { address = \"%s\" }", bad[i]);
		refused(str_of(text), 2, "redis.address \"");
		assert_non_null(strstr(causes.data, "insecure_ok = true"));
		snprintf(text, sizeof text, BASE "redis { address = \"%s\" insecure_ok = true }", bad[i]);
		conf_free(read_ok(text));
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		snprintf(text, sizeof text, BASE "redis { address = \"%s\" }", good[i]);
		conf_free(read_ok(text));
	}
	refused(STR_LIT(BASE "redis { address = \"unix:redis.sock\" }"), 2, "redis.address");
	refused(STR_LIT(BASE "redis { address = \"::1:6379\" }"), 2, "redis.address");
	refused(STR_LIT(BASE "redis { user = lectern }"), 2, "redis.user without a password");
	refused(STR_LIT(BASE "kvs {\nstate_cache = 5\n}"), 3, "kvs.state_cache lets states out of memory");
	refused(STR_LIT(BASE "kvs {\nbackend = memory\nstate_cache = 5 }"), 4, "kvs.state_cache");
}

static void
assert_restart(const char *before, const char *after, size_t n, const char *names)
{
	char text[512];
	struct conf *a, *b;
	struct buf got = BUF_INIT(0);

	snprintf(text, sizeof text, BASE "%s", before);
	a = read_ok(text);
	snprintf(text, sizeof text, BASE "%s", after);
	b = read_ok(text);
	assert_int_equal(conf_needs_restart(a, b, &got), n);
	if (!str_is(buf_view(&got), names))
		fail_msg("%.*s, not %s", STR_ARG(buf_view(&got)), names);
	buf_free(&got);
	conf_free(a);
	conf_free(b);
}

static void
test_restart(void **state)
{
	(void)state;
	assert_restart("", "", 0, "");
	assert_restart("", "log_level = debug listen { origins = { \"http://a\" } } "
	    "opt_out a { action = DROP }", 0, "");
	assert_restart("", "listen { port = 1 } journal { segment_size = 1M }", 2,
	    "listen.port, journal.segment_size");
	assert_restart("", "control = /other", 1, "control");
	assert_restart("", "component a { jid = a.b }", 1, "component");
	assert_restart("component a { jid = a.b }", "component b { jid = a.b }", 1, "component");
	assert_restart("component a { jid = a.b }", "component a { jid = a.b reducers = { x } }", 1,
	    "component");
	assert_restart("", "listen { tls_key = /k tls_certificate = /c }", 1, "listen.tls_key");
	assert_restart("listen { tls_key = /a tls_certificate = /c }",
	    "listen { tls_key = /b tls_certificate = /d }", 0, "");
}

/* ---- documents ---- */

static char *
slurp(const char *name)
{
	const char *top = getenv("top_srcdir") ? getenv("top_srcdir") : getenv("srcdir");
	char path[512];
	struct buf b = BUF_INIT(0);
	char piece[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", top ? top : ".", name);
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("%s is missing", path);
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_add(&b, piece, n);
	fclose(f);
	return buf_take(&b);
}

/* The example is valid as it stands and shows every option, set or commented
 * out with its default. */
static void
test_example(void **state)
{
	char *text = slurp("packaging/lectern.conf");
	struct conf *c = read_ok(text);
	(void)state;

	for (size_t i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];
		char want[128];

		snprintf(want, sizeof want, "%s = ", row->name);
		if (strstr(text, want) == NULL)
			fail_msg("the example lacks %s.%s", row->section, row->name);
	}
	conf_free(c);
	mem_free(text);
}

/* The row's words, default, range and marks stand in its entry. */
static void
manual_entry(const struct conf_row *row, const char *entry)
{
	struct conf_row at_zero = *row;
	struct buf want = BUF_INIT(0);
	bool restart = strstr(entry, ".Pq restart") || strstr(entry, "; restart");

	at_zero.offset = 0;
	if (row->max > 0) {
		conf_value_print(&at_zero, &row->min, &want);
		buf_z(&want, " to ");
		conf_value_print(&at_zero, &row->max, &want);
	}
	buf_byte(&want, '\0');
	if (strstr(entry, want.data) == NULL)
		fail_msg("the manual lacks %s of %s.%s", want.data, row->section, row->name);
	buf_clear(&want);
	if (row->standard != NULL && row->standard[0] != '\0')
		buf_printf(&want, "\n.Pq default Li %s\n", row->standard);
	buf_byte(&want, '\0');
	if (strstr(entry, want.data) == NULL)
		fail_msg("the manual lacks the default of %s.%s", row->section, row->name);
	for (size_t k = 0; row->known != NULL && row->known[k] != NULL; k++)
		if (strstr(entry, row->known[k]) == NULL)
			fail_msg("the manual lacks %s of %s", row->known[k], row->name);
	if (restart != row->restart || (strstr(entry, ".Pq required") != NULL) != row->required)
		fail_msg("the manual's marks of %s.%s are wrong", row->section, row->name);
	buf_free(&want);
}

/* Every option of the table, in its order. */
static void
test_manual(void **state)
{
	char *text = slurp("man/lectern.conf.5"), *at = text;
	char want[128];
	(void)state;

	for (size_t i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];
		char *entry, *end;

		snprintf(want, sizeof want, "\n.It Ic %s\n", row->name);
		at = strstr(at, want);
		if (at == NULL) {
			fail_msg("the manual lacks %s.%s in its place", row->section, row->name);
			break;
		}
		end = strstr(at + 1, "\n.It Ic ");
		if (end == NULL)
			end = strstr(at, "\n.El");
		entry = mem_dup(at, (size_t)(end - at) + 1);
		manual_entry(row, entry);
		mem_free(entry);
		at++;
	}
	mem_free(text);
}

static void
test_manual_example(void **state)
{
	static const char begin[] = "\n.Bd -literal -offset indent\n";
	char *text = slurp("man/lectern.conf.5"), *at = strstr(text, begin), *end;
	(void)state;

	assert_non_null(at);
	at += strlen(begin);
	end = strstr(at, ".Ed");
	assert_non_null(end);
	*end = '\0';
	conf_free(read_ok(at));
	mem_free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_redis),
		cmocka_unit_test(test_everything_is_everything),
		cmocka_unit_test(test_print_reads_back),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_jids),
		cmocka_unit_test(test_contact),
		cmocka_unit_test(test_conninfo),
		cmocka_unit_test(test_people),
		cmocka_unit_test(test_remote_plaintext),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_manual_example),
	};

	return cmocka_run_group_tests_name("conf", tests, rig_setup, rig_teardown);
}
