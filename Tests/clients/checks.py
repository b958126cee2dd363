"""Counted checks for the programs beside this file: one line each, and the exit status."""
import sys

_failures = 0
_count = 0


def gateway():
    """The gateway's address, which is the program's only argument."""
    if len(sys.argv) != 2:
        sys.exit(f"error: expected the gateway's address; usage: {sys.argv[0]} http://HOST:PORT")
    return sys.argv[1].rstrip("/")


def check(name, body):
    """Runs one check; what it asserts or raises is its failure."""
    global _failures, _count
    _count += 1
    try:
        body()
        print(f"ok      {name}", flush=True)
    except Exception as error:  # a check may fail in any way; the others still run
        _failures += 1
        print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)


def finish():
    """Says how many passed; the exit status is 1 when one failed."""
    print(f"{_count - _failures} of {_count} checks passed")
    sys.exit(1 if _failures else 0)
