"""`python -m edged.hub` is `edged hub`."""

import argparse
import sys

from edged.hub.command import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="edged hub", description="A signalling service of one's own.")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
