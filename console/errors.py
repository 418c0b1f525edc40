"""Errors of the console.

ConsoleError
├── ListenError     it may not, or cannot, listen there
├── PasswordError   a password that is not accepted, or a file of passwords that cannot be used
└── LabelError      what operators said cannot be kept or read
"""

from __future__ import annotations


class ConsoleError(Exception):
    """The console cannot go on; the message says what to do."""


class ListenError(ConsoleError):
    """It may not, or cannot, listen where it should."""


class PasswordError(ConsoleError):
    """A password is not accepted, or the file of passwords cannot be used."""


class LabelError(ConsoleError):
    """What operators said cannot be kept or read."""
