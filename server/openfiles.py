"""How many files this process may have open: each connection is one."""

import logging
import resource
from typing import Final

# Besides connections: the interpreter's, PostgreSQL's, the loop's.
OTHER_FILES: Final = 500

_LOG = logging.getLogger(__name__)


def allow_connections(sessions: int, http: int) -> int:
    """Let so many connections be open, as far as the system allows; answers how many files may be.

    Systems often start a process with 1,024, and let it ask for more. Past the limit no connection
    is accepted, whatever the settings say, so that too low a limit is worth a warning.
    """
    wanted = sessions + http + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        allowed = soft
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed != resource.RLIM_INFINITY and allowed < sessions:
        _LOG.warning(
            "the system allows %d open files (ulimit -Hn), too few for %d sessions",
            allowed,
            sessions,
        )
    return allowed
