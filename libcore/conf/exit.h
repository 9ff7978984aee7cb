/* SPDX-License-Identifier: ISC */
/* Exit statuses of every program: sysexits(3), with our meanings. */
#ifndef CONF_EXIT_H
#define CONF_EXIT_H

enum exit_code {
	EXIT_OK = 0,
	EXIT_USAGE = 64,     /* the command line */
	EXIT_DATA = 65,	     /* malformed input */
	EXIT_UNREACHED = 69, /* no zipper in time */
	EXIT_BUG = 70,	     /* ours */
	EXIT_SYSTEM = 71,    /* the system refused */
	EXIT_OUTPUT = 74,    /* stdout cannot be written */
	EXIT_LOST = 75,	     /* the connection was lost with data in doubt */
	EXIT_PROTOCOL = 76,  /* the peer broke the protocol, or has another */
	EXIT_REFUSED = 77,   /* credential, certificate, ACL */
	EXIT_CONFIG = 78,    /* the configuration */
};

#endif /* CONF_EXIT_H */
