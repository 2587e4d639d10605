"""Requests by name: a table of methods, and a call of one with parameters from outside, checked first."""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any

from engines.errors import InvalidSetting, UnknownName


def ask(owner: object, requests: Mapping[str, Callable[..., Any]], request: str, given: Mapping[str, Any]) -> Any:
    """What ``owner``'s method of this name answers.

    Raises ``UnknownName`` for a request that there is not, ``InvalidSetting`` for a parameter too many or too few.
    """
    if request not in requests:
        raise UnknownName("request", request, requests)
    known = dict(signature(requests[request]).parameters)
    del known["self"]
    takes = f"{request} takes: {', '.join(known) or 'nothing'}"
    if wrong := [name for name in given if name not in known]:
        raise InvalidSetting(f"{request} has no parameter {wrong[0]!r}; {takes}")
    needed = [name for name, one in known.items() if one.default is Parameter.empty]
    if lacking := [name for name in needed if name not in given]:
        raise InvalidSetting(f"{request} needs {lacking[0]!r}; {takes}")
    return requests[request](owner, **given)
