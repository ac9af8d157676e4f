/* SPDX-License-Identifier: MIT */
/* form: see form.h. */
#include "xmpp/form.h"

#include <stdio.h>

/* ---- writing ---- */

void
form_open(struct xmlw *w, const char *type, const char *form_type)
{
	xmlw_open(w, "x", NS_DATA);
	xmlw_attrz(w, "type", type);
	form_field(w, "FORM_TYPE", "hidden", NULL, form_type);
}

void
form_field_open(struct xmlw *w, const char *var, const char *type, const char *label)
{
	xmlw_open(w, "field", NULL);
	xmlw_attrz(w, "var", var);
	xmlw_attrz(w, "type", type);
	xmlw_attrz(w, "label", label);
}

void
form_value(struct xmlw *w, const char *value)
{
	xmlw_textz(w, "value", value);
}

void
form_option(struct xmlw *w, const char *value, const char *label)
{
	xmlw_open(w, "option", NULL);
	xmlw_attrz(w, "label", label);
	form_value(w, value);
	xmlw_close(w);
}

void
form_field(struct xmlw *w, const char *var, const char *type, const char *label,
    const char *value)
{
	form_field_open(w, var, type, label);
	if (value != NULL && value[0] != '\0')
		form_value(w, value);
	xmlw_close(w);
}

void
form_flag(struct xmlw *w, const char *var, const char *label, bool value)
{
	form_field(w, var, "boolean", label, value ? "1" : "0");
}

void
form_number(struct xmlw *w, const char *var, const char *label, size_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%zu", value);
	form_field(w, var, "text-single", label, text);
}

/* ---- reading ---- */

enum form_kind
form_kind(const struct xml *form)
{
	const char *type = xml_attr(form, "type");

	if (type != NULL && strcmp(type, "submit") == 0)
		return FORM_SUBMIT;
	return type != NULL && strcmp(type, "cancel") == 0 ? FORM_CANCEL : FORM_OTHER;
}

/* XEP-0068 §3.1 */
bool
form_is(const struct xml *form, const char *form_type)
{
	for (const struct xml *f = form->first; f != NULL; f = f->next) {
		const char *var = xml_attr(f, "var"), *text;

		if (!xml_is(f, NS_DATA, "field"))
			continue;
		text = form_single(f);
		if (var == NULL || (strcmp(var, "FORM_TYPE") == 0 &&
		    (text == NULL || strcmp(text, form_type) != 0)))
			return false;
	}
	return true;
}

const struct xml *
form_values(const struct xml *field)
{
	return xml_child(field, NS_DATA, "value");
}

const struct xml *
form_more(const struct xml *value)
{
	do
		value = value->next;
	while (value != NULL && !xml_is(value, NS_DATA, "value"));
	return value;
}

const char *
form_single(const struct xml *field)
{
	const struct xml *value = form_values(field);

	if (value == NULL)
		return "";
	return form_more(value) == NULL ? value->text.p : NULL;
}

bool
form_bool(const char *text, bool *out)
{
	*out = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
	return *out || strcmp(text, "0") == 0 || strcmp(text, "false") == 0;
}
