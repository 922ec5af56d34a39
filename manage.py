#!/usr/bin/env python
"""Parley's commands: `manage.py serve` runs it, `manage.py help` lists the rest."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config.command_line import CommandLine

    CommandLine(sys.argv, environ=os.environ).execute()


if __name__ == "__main__":
    main()
