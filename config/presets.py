"""Known providers, read from `presets/*.yaml`: each file maps names to presets."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, TypeAdapter, model_validator

from config.providers import ProviderFacts
from config.section import Section
from config.yamltree import read_yaml

PRESET_DIRECTORY: Final = Path(__file__).parent / "presets"


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from error
    return value


class KeyPrefix(Section):
    """What keys of this provider look like."""

    pattern: Annotated[str, AfterValidator(_regex)]
    """A regular expression for the beginning of a key (the whole key when it ends in `$`)."""
    reason: str
    """What to tell a person about the guess."""
    priority: int = 0
    """Higher ones are asked first: the narrow before the broad."""


class Preset(ProviderFacts):
    """A known provider."""

    title: str
    """Its name for people."""
    description: str = ""
    """What to know before adding it: a subscription, models that only the user can name."""
    docs: str = ""
    """Its public documentation."""
    key_env: str = ""
    """The environment variable that messages suggest for the key."""
    credential_type: Literal["google", "github_copilot"] | None = None
    """What its users have instead of a plain key."""
    key_optional: bool = False
    """True for servers that usually want no key."""
    list_prices: bool = True
    """Whether the general price table holds for its models; False for one's own servers."""
    base_url_required: bool = False
    """True when every user has an address of their own."""
    key_prefixes: tuple[KeyPrefix, ...] = ()
    """How its keys are recognised."""
    variables: Mapping[str, str | None] = {}
    """Values that its URLs need (`region`), with defaults; without one the provider entry must give it."""
    hosts: Mapping[str, str] = {}
    """What `{host}` stands for, by pattern of the region; the most specific wins."""
    date: dt.date
    """The day its facts were read."""
    source: str
    """Where they come from."""

    @model_validator(mode="after")
    def _somewhere(self) -> Preset:
        if not self.endpoints and not self.base_url_required:
            raise ValueError("`endpoints`, or `base_url_required: true`")
        return self


_FILE: Final = TypeAdapter(dict[str, Preset])


def read_presets(directory: Path = PRESET_DIRECTORY) -> Mapping[str, Preset]:
    """All presets of a directory, by name; ValueError when a file is wrong or a name is given twice."""
    presets: dict[str, Preset] = {}
    for path in sorted(directory.glob("*.yaml")):
        tree = read_yaml(path.read_text(encoding="utf-8"), str(path))
        if tree.problems:
            raise ValueError("\n".join(map(str, tree.problems)))
        for name, preset in _FILE.validate_python(tree.value).items():
            if name in presets:
                raise ValueError(f"{path.name}: preset {name} is given twice")
            presets[name] = preset
    return presets


@cache
def load_presets() -> Mapping[str, Preset]:
    """The presets that come with llmgate, read once."""
    return MappingProxyType(read_presets())
