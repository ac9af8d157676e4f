/* SPDX-License-Identifier: MIT */
/* err: every error code, its wire name and its sentence, from one list.
 * 0 (ERR_OK) is success everywhere. */
#ifndef LECTERN_BASE_ERR_H
#define LECTERN_BASE_ERR_H

/* X(symbol, wire code, sentence for people) */
#define ERR_MAP(X)                                                             \
	X(ERR_OK, "ok", "no error")                                            \
	/* events: the code a client reads in {"status":"error"} */            \
	X(ERR_NOT_AN_OBJECT, "not_an_object", "An event is one JSON object.")  \
	X(ERR_BAD_JSON, "bad_json", "The frame is not one valid JSON text.")   \
	X(ERR_BAD_EVENT_NAME, "bad_event_name", "\"event\" must be a non-empty string of at most 256 bytes.") \
	X(ERR_TOO_DEEP, "too_deep", "The event is nested more than 32 levels deep.") \
	X(ERR_TOO_MANY_MEMBERS, "too_many_members", "An object of the event has more than 4096 members.") \
	X(ERR_KEY_TOO_LONG, "key_too_long", "A key of the event is longer than 256 bytes.") \
	X(ERR_BAD_KEY, "bad_key", "A key of the event holds a NUL character.") \
	X(ERR_DUPLICATE_KEY, "duplicate_key", "The event names the same key twice.") \
	X(ERR_BAD_SEQ, "bad_seq", "\"seq\" must be an integer from 1 to 2^63-1.") \
	X(ERR_BAD_STREAM, "bad_stream", "\"stream\" must be a string of 1 to 128 bytes.") \
	X(ERR_BAD_FIELDS, "bad_fields", "lock_fields needs an object \"fields\" of at most 64 KiB.") \
	X(ERR_BAD_SOURCE, "bad_source", "\"source\" must be a string of 1 to 256 bytes.") \
	X(ERR_BAD_IDENTITY, "bad_identity", "The identity in the event is not valid.") \
	X(ERR_BAD_TOKEN, "bad_token", "The student token is not valid.")       \
	X(ERR_TOKEN_EXPIRED, "token_expired", "The student token has expired.") \
	X(ERR_IDENTITY_CHANGED, "identity_changed", "A connection belongs to one student; open another one.") \
	X(ERR_BLOB_SCOPE, "blob_scope", "save_blob and fetch_blob need \"source\" and \"activity\".") \
	X(ERR_TOO_MUCH_HELD, "too_much_held", "Too many events before identity and source were known.") \
	/* the rest */                                                         \
	X(ERR_FULL, "full", "a limit was reached")                             \
	X(ERR_NOT_FOUND, "not_found", "no such thing")                         \
	X(ERR_INVALID, "invalid", "not valid")                                 \
	X(ERR_FORBIDDEN, "forbidden", "not allowed")                           \
	X(ERR_IO, "io", "input or output failed")                              \
	X(ERR_NO_SPACE, "no_space", "no space left on the disk")               \
	X(ERR_DAMAGED, "damaged", "stored data is damaged")                    \
	X(ERR_LOCKED, "locked", "another process holds the lock")              \
	X(ERR_CLOSED, "closed", "already closed")

enum err {
#define ERR_ENUM(sym, code, text) sym,
	ERR_MAP(ERR_ENUM)
#undef ERR_ENUM
	ERR_COUNT
};

/* The wire code ("bad_json") and the sentence for people. Static strings. */
const char *err_code(enum err e);
const char *err_text(enum err e);

#endif
