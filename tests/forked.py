"""Work in a copy of this process, which may be killed: what is imported here need not be imported again there."""

import os
import sys
import traceback
import warnings
from collections.abc import Callable


def exit_code(work: Callable[[], object]) -> int:
    """Do ``work`` in a child; 0 if it came to its end, 1 if it raised something, -N if signal N ended it."""
    with warnings.catch_warnings():
        # The tests' own threads hold no lock that the work needs.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
