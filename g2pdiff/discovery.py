"""Discovery of the classes in a package: a new experiment or tab is one more file, and no list names it."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

Kind = TypeVar("Kind")


def classes_of(package: ModuleType, kind: type[Kind]) -> list[type[Kind]]:
    """Return the concrete subclasses of `kind` that the modules of a package define."""
    modules = [import_module(f"{package.__name__}.{info.name}") for info in iter_modules(package.__path__)]
    return [
        found
        for module in modules
        for found in vars(module).values()
        if inspect.isclass(found)
        and issubclass(found, kind)
        and found.__module__ == module.__name__
        and not inspect.isabstract(found)
    ]
