"""The base of every model that a user fills in: frozen, no unknown keys, and a number is a number."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Settings(BaseModel):
    """Refuses infinity and NaN, and true or false where a number or a text belongs (pydantic would take 1 or 0)."""

    # Deferred: a command has dozens of models in sight and fills in a few; building all takes a fifth of a plan's time.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and annotation not in (bool, Any) and bool not in typing.get_args(annotation):
            raise ValueError("should not be true or false")
        return value
