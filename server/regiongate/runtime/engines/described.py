"""What gRPC reflection tells of the service."""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2

from regiongate._pb import ext_authz_pb2
from regiongate.extauthz.service import METHOD, SERVICE


def described() -> descriptor_pool.DescriptorPool:
    """Describe the services for reflection, Authorization by the messages we read it with.

    A pool of its own: upstream's descriptors of the same names may be in the default one.
    """
    pool = descriptor_pool.DescriptorPool()
    for module in (ext_authz_pb2, health_pb2):
        for file in (*module.DESCRIPTOR.dependencies, module.DESCRIPTOR):
            pool.AddSerializedFile(file.serialized_pb)
    package, _, service = SERVICE.rpartition(".")
    messages = ext_authz_pb2.DESCRIPTOR.package
    pool.Add(
        descriptor_pb2.FileDescriptorProto(
            name="regiongate/authorization.proto",
            package=package,
            syntax="proto3",
            dependency=[ext_authz_pb2.DESCRIPTOR.name],
            service=[
                descriptor_pb2.ServiceDescriptorProto(
                    name=service,
                    method=[
                        descriptor_pb2.MethodDescriptorProto(
                            name=METHOD,
                            input_type=f".{messages}.CheckRequest",
                            output_type=f".{messages}.CheckResponse",
                        )
                    ],
                )
            ],
        )
    )
    return pool
