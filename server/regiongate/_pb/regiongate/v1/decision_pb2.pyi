import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from regiongate._pb.regiongate.v1 import facts_pb2 as _facts_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Decision(_message.Message):
    __slots__ = ("time", "decision_id", "verdict", "policy_verdict", "policy", "rule", "reason", "phase", "exemption", "source", "key", "request", "inputs", "microseconds", "address_problem")
    TIME_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERDICT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    EXEMPTION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    decision_id: str
    verdict: str
    policy_verdict: str
    policy: str
    rule: str
    reason: str
    phase: str
    exemption: str
    source: _facts_pb2.Source
    key: DecisionKey
    request: DecisionRequest
    inputs: Inputs
    microseconds: int
    address_problem: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decision_id: _Optional[str] = ..., verdict: _Optional[str] = ..., policy_verdict: _Optional[str] = ..., policy: _Optional[str] = ..., rule: _Optional[str] = ..., reason: _Optional[str] = ..., phase: _Optional[str] = ..., exemption: _Optional[str] = ..., source: _Optional[_Union[_facts_pb2.Source, _Mapping]] = ..., key: _Optional[_Union[DecisionKey, _Mapping]] = ..., request: _Optional[_Union[DecisionRequest, _Mapping]] = ..., inputs: _Optional[_Union[Inputs, _Mapping]] = ..., microseconds: _Optional[int] = ..., address_problem: _Optional[str] = ...) -> None: ...

class DecisionKey(_message.Message):
    __slots__ = ("id", "org", "status", "age_seconds", "presented", "problem")
    ID_FIELD_NUMBER: _ClassVar[int]
    ORG_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PRESENTED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    id: str
    org: str
    status: str
    age_seconds: float
    presented: bool
    problem: str
    def __init__(self, id: _Optional[str] = ..., org: _Optional[str] = ..., status: _Optional[str] = ..., age_seconds: _Optional[float] = ..., presented: _Optional[bool] = ..., problem: _Optional[str] = ...) -> None: ...

class DecisionRequest(_message.Message):
    __slots__ = ("method", "host", "path", "request_id", "trace_id")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    method: str
    host: str
    path: str
    request_id: str
    trace_id: str
    def __init__(self, method: _Optional[str] = ..., host: _Optional[str] = ..., path: _Optional[str] = ..., request_id: _Optional[str] = ..., trace_id: _Optional[str] = ...) -> None: ...

class Inputs(_message.Message):
    __slots__ = ("policy_digest", "database_type", "database_built", "keys_version")
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DATABASE_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATABASE_BUILT_FIELD_NUMBER: _ClassVar[int]
    KEYS_VERSION_FIELD_NUMBER: _ClassVar[int]
    policy_digest: str
    database_type: str
    database_built: _timestamp_pb2.Timestamp
    keys_version: str
    def __init__(self, policy_digest: _Optional[str] = ..., database_type: _Optional[str] = ..., database_built: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., keys_version: _Optional[str] = ...) -> None: ...
