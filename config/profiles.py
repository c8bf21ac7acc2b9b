"""Profiles as data: partial `ModelProfile`s, merged from the general to the particular.

Every field of `translators.profile.ModelProfile` can be given in YAML under its own name, with the
description that its docstring there has; a field added there needs nothing here.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, Final, get_type_hints

from pydantic import Field, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from config.section import Section
from translators.profile import DEFAULT_PROFILE, ModelProfile


def field_descriptions(owner: type) -> Mapping[str, str]:
    """The docstring below each field of a class, by field name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for statement, after in pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            found[statement.target.id] = inspect.cleandoc(after.value.value)
    return found


def _fields_model() -> type[Section]:
    hints = get_type_hints(ModelProfile)
    described = field_descriptions(ModelProfile)
    definitions: dict[str, Any] = {
        item.name: (
            hints[item.name],
            Field(
                default=item.default,
                description=described.get(item.name) or item.name.replace("_", " "),
            ),
        )
        for item in fields(ModelProfile)
    }
    return create_model("Profile", __base__=Section, **definitions)


PROFILE_FIELDS: Final = _fields_model()
"""A pydantic model with `ModelProfile`'s fields, types and defaults."""


@dataclass(frozen=True, slots=True)
class ProfilePatch:
    """The fields of a profile that somebody said something about."""

    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        read = core_schema.no_info_wrap_validator_function(
            _patch, handler.generate_schema(PROFILE_FIELDS)
        )
        return core_schema.json_or_python_schema(
            json_schema=read,
            python_schema=read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda patch: dict(patch.values)
            ),
        )


def _patch(value: Any, handler: Callable[[Any], Section]) -> ProfilePatch:
    return value if isinstance(value, ProfilePatch) else _given(handler(value))


def _given(model: Section) -> ProfilePatch:
    return ProfilePatch({name: getattr(model, name) for name in model.model_fields_set})


def merge(patches: Iterable[ProfilePatch], base: ModelProfile = DEFAULT_PROFILE) -> ModelProfile:
    """The base with each patch applied over the one before."""
    values: dict[str, Any] = {}
    for patch in patches:
        values.update(patch.values)
    return replace(base, **values) if values else base
