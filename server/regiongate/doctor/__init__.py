"""What is wrong with the wiring of Envoy and RegionGate, and what to write instead.

Pure: what the running service told and what Envoy's configuration says go in, findings come out
(`diagnosis.diagnose`). Nothing here asks anybody, opens a file or knows how regiongate.yaml is
read. Nothing is imported here: a worker needs no more than `observation`.
"""
