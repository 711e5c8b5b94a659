import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Source(_message.Message):
    __slots__ = ("address", "status", "country", "regions", "continent", "registered_country", "network", "asn", "as_org", "anonymous", "vpn", "tor", "hosting", "proxy")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    CONTINENT_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_COUNTRY_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ASN_FIELD_NUMBER: _ClassVar[int]
    AS_ORG_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    VPN_FIELD_NUMBER: _ClassVar[int]
    TOR_FIELD_NUMBER: _ClassVar[int]
    HOSTING_FIELD_NUMBER: _ClassVar[int]
    PROXY_FIELD_NUMBER: _ClassVar[int]
    address: str
    status: str
    country: str
    regions: _containers.RepeatedScalarFieldContainer[str]
    continent: str
    registered_country: str
    network: str
    asn: int
    as_org: str
    anonymous: bool
    vpn: bool
    tor: bool
    hosting: bool
    proxy: bool
    def __init__(self, address: _Optional[str] = ..., status: _Optional[str] = ..., country: _Optional[str] = ..., regions: _Optional[_Iterable[str]] = ..., continent: _Optional[str] = ..., registered_country: _Optional[str] = ..., network: _Optional[str] = ..., asn: _Optional[int] = ..., as_org: _Optional[str] = ..., anonymous: _Optional[bool] = ..., vpn: _Optional[bool] = ..., tor: _Optional[bool] = ..., hosting: _Optional[bool] = ..., proxy: _Optional[bool] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("found", "presented", "id", "org", "status", "plan", "home_country", "billing_country", "hq_country", "ownership_countries", "allowed_countries", "denied_countries", "labels", "created", "expires", "restricted", "problem")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FOUND_FIELD_NUMBER: _ClassVar[int]
    PRESENTED_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ORG_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    HOME_COUNTRY_FIELD_NUMBER: _ClassVar[int]
    BILLING_COUNTRY_FIELD_NUMBER: _ClassVar[int]
    HQ_COUNTRY_FIELD_NUMBER: _ClassVar[int]
    OWNERSHIP_COUNTRIES_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_COUNTRIES_FIELD_NUMBER: _ClassVar[int]
    DENIED_COUNTRIES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    found: bool
    presented: bool
    id: str
    org: str
    status: str
    plan: str
    home_country: str
    billing_country: str
    hq_country: str
    ownership_countries: _containers.RepeatedScalarFieldContainer[str]
    allowed_countries: _containers.RepeatedScalarFieldContainer[str]
    denied_countries: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    created: _timestamp_pb2.Timestamp
    expires: _timestamp_pb2.Timestamp
    restricted: bool
    problem: str
    def __init__(self, found: _Optional[bool] = ..., presented: _Optional[bool] = ..., id: _Optional[str] = ..., org: _Optional[str] = ..., status: _Optional[str] = ..., plan: _Optional[str] = ..., home_country: _Optional[str] = ..., billing_country: _Optional[str] = ..., hq_country: _Optional[str] = ..., ownership_countries: _Optional[_Iterable[str]] = ..., allowed_countries: _Optional[_Iterable[str]] = ..., denied_countries: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., restricted: _Optional[bool] = ..., problem: _Optional[str] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("method", "host", "path", "query", "scheme", "protocol", "headers", "route", "principal", "sni")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class RouteEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METHOD_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    SNI_FIELD_NUMBER: _ClassVar[int]
    method: str
    host: str
    path: str
    query: str
    scheme: str
    protocol: str
    headers: _containers.ScalarMap[str, str]
    route: _containers.ScalarMap[str, str]
    principal: str
    sni: str
    def __init__(self, method: _Optional[str] = ..., host: _Optional[str] = ..., path: _Optional[str] = ..., query: _Optional[str] = ..., scheme: _Optional[str] = ..., protocol: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., route: _Optional[_Mapping[str, str]] = ..., principal: _Optional[str] = ..., sni: _Optional[str] = ...) -> None: ...
