"""Errors of the command.

EdgefleetError
├── BrokerStartError   the embedded broker did not come up
├── StateError         a state folder or file that is not there, or not what it should be
└── GatewayExitError   the gateway process ended when it should run
"""

from __future__ import annotations


class EdgefleetError(Exception):
    """A command cannot go on; the message says what to do."""


class BrokerStartError(EdgefleetError):
    """The embedded broker did not come up."""


class StateError(EdgefleetError):
    """A state folder or file is not there, or not what it should be."""


class GatewayExitError(EdgefleetError):
    """The gateway process ended when it should run."""
