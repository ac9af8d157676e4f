/* SPDX-License-Identifier: MIT */
/* How lecternctl doctor reaches the web door: shared by its look and the probe. */
#ifndef LECTERN_CTL_DOCTOR_WEB_H
#define LECTERN_CTL_DOCTOR_WEB_H

#include "base/conf.h"
#include "ctl/wsock.h"

#define DOCTOR_HOST_MAX 300

/* Address, Host and Origin that this configuration lets in; host is the room
 * that o->host then points to. */
void doctor_web_options(const struct conf *c, char host[DOCTOR_HOST_MAX], struct wsock_options *o);

#endif
