"""The types of single values of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from trayconnect.config import values

Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
LocalPort = Annotated[
    Port, AfterValidator(values.local_port), Field(json_schema_extra={"minimum": 1024})
]
Flag = Annotated[bool, Strict()]
Seconds = Annotated[float, Strict(), Field(gt=0, le=86_400)]
UserPath = Annotated[Path, BeforeValidator(values.user_path)]
Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(values.printable)]
UserName = Annotated[
    str,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": values.USER_PATTERN}),
    AfterValidator(values.user_name),
]
HostName = Annotated[
    str,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": values.HOST_PATTERN}),
    AfterValidator(values.host_name),
]
BindAddress = Annotated[str, AfterValidator(values.bind_address)]
PagePath = Annotated[
    str,
    Field(max_length=2000, json_schema_extra={"pattern": values.PATH_PATTERN}),
    AfterValidator(values.page_path),
]
Url = Annotated[
    str,
    Field(max_length=2000, json_schema_extra={"pattern": values.URL_PATTERN}),
    AfterValidator(values.direct_url),
]


RemotePort = Annotated[int, Strict(), Field(ge=0, le=65535)]
LocalSocket = Annotated[
    str,
    BeforeValidator(values.local_socket),
    Field(json_schema_extra={"pattern": values.LOCAL_SOCKET_PATTERN}),
]
RemoteSocket = Annotated[
    str,
    Field(json_schema_extra={"pattern": values.REMOTE_SOCKET_PATTERN}),
    AfterValidator(values.remote_socket),
]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
