-- The tables of roster { backend = "sqlite" }; `lecternctl roster init` makes them.
-- What they mean is in docs/rosters.md.
CREATE TABLE IF NOT EXISTS lectern_schema (
	part TEXT PRIMARY KEY,
	version INTEGER NOT NULL
) STRICT;
CREATE TABLE lectern_courses (
	id TEXT PRIMARY KEY CHECK (id <> ''), -- the name in nodes: class/ID/...
	title TEXT                            -- what people call it
) STRICT;
CREATE TABLE lectern_people (
	id TEXT PRIMARY KEY CHECK (id <> ''), -- a student's: as their events are filed
	jid TEXT,                             -- XMPP address; who reads needs one
	email TEXT,
	name TEXT,                            -- to show; given and family without it
	given TEXT,
	family TEXT
) STRICT;
CREATE TABLE lectern_enrollments (
	course TEXT NOT NULL REFERENCES lectern_courses ON UPDATE CASCADE ON DELETE CASCADE,
	person TEXT NOT NULL REFERENCES lectern_people ON UPDATE CASCADE ON DELETE CASCADE,
	role TEXT NOT NULL CHECK (role IN ('teacher', 'student')),
	PRIMARY KEY (course, person)
) STRICT;
CREATE TABLE lectern_guardians (
	student TEXT NOT NULL REFERENCES lectern_people ON UPDATE CASCADE ON DELETE CASCADE,
	guardian TEXT NOT NULL REFERENCES lectern_people ON UPDATE CASCADE ON DELETE CASCADE,
	PRIMARY KEY (student, guardian)
) STRICT;
CREATE TABLE lectern_identities ( -- what else a student is known by: gc-..., LMS id
	alias TEXT PRIMARY KEY CHECK (alias <> ''),
	person TEXT NOT NULL REFERENCES lectern_people ON UPDATE CASCADE ON DELETE CASCADE
) STRICT;
CREATE INDEX lectern_enrollments_person ON lectern_enrollments (person);
CREATE INDEX lectern_guardians_guardian ON lectern_guardians (guardian);
CREATE INDEX lectern_identities_person ON lectern_identities (person);
INSERT INTO lectern_schema (part, version) VALUES ('roster', 1);

-- The users of auth { backends = { "sqlite" } }; `lecternctl passwd` makes the table.
CREATE TABLE IF NOT EXISTS lectern_schema (
	part TEXT PRIMARY KEY,
	version INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS lectern_users (
	name TEXT PRIMARY KEY, -- the bare JID in canonical form
	hash TEXT NOT NULL     -- crypt(5): $y$, $2y$, $6$ or $5$
);
INSERT INTO lectern_schema (part, version) VALUES ('auth', 1) ON CONFLICT (part) DO NOTHING;
