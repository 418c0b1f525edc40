"""Errors of the contract.

ContractError
├── TopicError      a topic that is not one of ours, or an identity that may not stand in one
└── PayloadError    bytes that are not the message that their topic promises
"""

from __future__ import annotations


class ContractError(Exception):
    """Something does not follow the wire contract."""


class TopicError(ContractError):
    """A topic is not one of ours, or an identity may not stand in one."""


class PayloadError(ContractError):
    """Bytes are not the message that their topic promises."""
