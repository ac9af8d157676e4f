/* SPDX-License-Identifier: MIT */
/* form: data forms (XEP-0004): writing them field by field, and reading what is
 * submitted. Knows no field. */
#ifndef LECTERN_XMPP_FORM_H
#define LECTERN_XMPP_FORM_H

#include "xmpp/stanza.h"

/* Opens <x type='TYPE'/> with its FORM_TYPE (XEP-0068 §3.1); close it with
 * xmlw_close. */
void form_open(struct xmlw *w, const char *type, const char *form_type);
/* A field with at most one value; type and label may be NULL, without value ""
 * or NULL there is none. */
void form_field(struct xmlw *w, const char *var, const char *type, const char *label,
    const char *value);
void form_flag(struct xmlw *w, const char *var, const char *label, bool value);
void form_number(struct xmlw *w, const char *var, const char *label, size_t value);
/* A field left open, for values and options. */
void form_field_open(struct xmlw *w, const char *var, const char *type, const char *label);
void form_value(struct xmlw *w, const char *value);
void form_option(struct xmlw *w, const char *value, const char *label);

enum form_kind { FORM_SUBMIT, FORM_CANCEL, FORM_OTHER };
/* What a form that came says it is (§3.1). */
enum form_kind form_kind(const struct xml *form);
/* Whether its fields have names and its FORM_TYPE, if it has one, is this. */
bool form_is(const struct xml *form, const char *form_type);
/* The field's values: the first, and the next after one; NULL at the end. */
const struct xml *form_values(const struct xml *field);
const struct xml *form_more(const struct xml *value);
/* The value of a field that may have but one; "" without; NULL with several. */
const char *form_single(const struct xml *field);
/* §3.3 boolean */
bool form_bool(const char *text, bool *out);

#endif
