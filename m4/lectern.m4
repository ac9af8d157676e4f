dnl LECTERN_SWITCH(NAME, HELP): --enable-NAME, off unless asked for.
AC_DEFUN([LECTERN_SWITCH],
  [AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [$2])], [], [enable_$1=no])])

dnl LECTERN_SANITIZER(SWITCH, FLAGS): the flags for compiling and linking when
dnl the switch is on; refused at once when the compiler does not know them.
AC_DEFUN([LECTERN_SANITIZER],
  [AS_IF([test "$enable_$1" = yes],
    [AC_MSG_CHECKING([whether $CC knows $2])
     save_CFLAGS=$CFLAGS
     CFLAGS="$CFLAGS $2"
     AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AC_MSG_RESULT([yes])],
       [AC_MSG_RESULT([no])
        AC_MSG_ERROR([--enable-$1 needs a compiler and runtime that know $2])])
     CFLAGS=$save_CFLAGS
     LECTERN_FLAGS="$LECTERN_FLAGS $2"
     LECTERN_LDFLAGS="$LECTERN_LDFLAGS $2"])])
