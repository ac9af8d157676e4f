/* SPDX-License-Identifier: MIT */
/* ctl/password: a password from a file, the environment or the terminal; never
 * from the arguments, where every process can read it. */
#ifndef LECTERN_CTL_PASSWORD_H
#define LECTERN_CTL_PASSWORD_H

/* From the file's first line when there is a file, else from the variable when
 * it is set (it is taken out of the environment), else asked for in the name of
 * `who`. NULL after having said why. The caller wipes and frees it. */
char *ctl_password(const char *file, const char *variable, const char *who);

#endif
