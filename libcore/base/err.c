/* SPDX-License-Identifier: ISC */
#include "base/err.h"

const char *
err_str(int r)
{
	switch (r) {
	case OK:
		return "ok";
	case ERR_MORE:
		return "more is needed";
	case ERR_BAD:
		return "malformed";
	case ERR_LIMIT:
		return "over a limit";
	case ERR_NOMEM:
		return "out of memory";
	case ERR_SYS:
		return "the system refused";
	case ERR_TLS:
		return "TLS failed";
	case ERR_AUTH:
		return "refused";
	case ERR_GONE:
		return "the peer is gone";
	case ERR_NONE:
		return "not found";
	}
	return "unknown error";
}
