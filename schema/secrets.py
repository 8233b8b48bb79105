"""Secrets and folders that found their way into options and messages: they are written down nowhere."""

from __future__ import annotations

import os
import re

WITHHELD = "(withheld)"

_NAMES = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
"""Names of environment variables that hold secrets."""

_SHORTEST = 8
"""Characters from which the value of such a variable is taken for a secret."""

_FORMS = re.compile(
    r"(?<=://)[^/@\s]+@"  # user:password@ of an address
    r"|\b(?:ghp|gho|ghs|github_pat|glpat|hf|xoxb|xoxp|wandb_v1)[-_][A-Za-z0-9_-]{16,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}"
    r"|\bA[KS]IA[A-Z0-9]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"  # JSON web token
    r"|\b(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])\b"  # a key of Weights & Biases
)
"""What keys and tokens look like."""


_FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s'\"/]+/)+")
"""Folders of an absolute path within a text."""


def without_folders(text: str) -> str:
    """Return a text in which absolute paths are cut down to their last part.

    Examples
    --------
    >>> without_folders("no such file: '/somewhere/x.h5ad'")
    "no such file: 'x.h5ad'"
    """
    return _FOLDERS.sub("", text)


def redacted(text: str) -> str:
    """Return a text without what looks like a key or token, and without the secrets of the environment.

    Examples
    --------
    >>> redacted("https://ana:pass@host/x.h5ad")
    'https://(withheld)host/x.h5ad'
    """
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _NAMES.search(name):
            text = text.replace(value, WITHHELD)
    return _FORMS.sub(WITHHELD, text)
