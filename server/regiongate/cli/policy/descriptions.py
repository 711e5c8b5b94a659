"""What an editor says about each key of each file, by `Model.key`, or by the key alone.

Words only. A test finds the keys that have none and the words that have no key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DESCRIPTIONS: Final[Mapping[str, str]] = {
    # -------------------------------------------------------------------------- policy.yaml
    "PolicyFile.version": "The version of the language: 1.",
    "PolicyFile.regions": "Named lists of countries and subdivisions, for source.within(name).",
    "PolicyFile.policies": "Policies by name. A route that names none gets the one named default.",
    "PolicyFile.responses": "How each reason is told to the client.",
    "RegionFile.file": "A text file beside this one: a code a line, # for comments.",
    "RegionExpression.union": "Lists whose codes are put together.",
    "RegionExpression.minus": "Lists whose codes are taken out of that.",
    "Policy.mode": "shadow: decide and record, but let everything pass.",
    "Policy.rules": "Tried in order; the first that applies wins.",
    "Policy.otherwise": "What happens when no rule applies: allow, deny, or a refusal of its own.",
    "Otherwise.deny": "What is refused with when no rule applies.",
    "Rule.name": "Unique within its policy; decisions, logs and exemptions name it.",
    "Rule.when": "A CEL expression over source, key, request and now that is true or false.",
    "Rule.deny": "Refuse, with this reason.",
    "Rule.allow": "Let pass, and look at no further rule; `true`, or a reason.",
    "Rule.exemptable": "Whether an exemption of the key can lift the rule.",
    "Rule.mode": "shadow: recorded, with no effect.",
    "Rule.phases": (
        "When the rule begins to observe, to warn and to enforce; left out, it is always enforced."
    ),
    "Rule.suspend": "So many refusals of one key within a time suspend the key.",
    "Deny.reason": "A word for machines: the code of the error, and the name of its response.",
    "Deny.status": "HTTP status; left out, that of the reason's response.",
    "Deny.message": "A sentence for people; left out, that of the reason's response.",
    "Allow.reason": "A word for machines.",
    "Phases.zone": "The time zone of dates without an offset, for instance Europe/Paris.",
    "Phases.observe": "From this moment the rule is recorded.",
    "Phases.warn": "From this moment the client is told as well.",
    "Phases.enforce": "From this moment the rule does what it says.",
    "Suspend.after": "How many refusals.",
    "Suspend.within": "Within which time, for instance 24h.",
    "Response.status": "HTTP status, 400 to 599.",
    "Response.message": "A sentence for people.",
    "Response.format": (
        "openai: the JSON of OpenAI-compatible APIs; problem: RFC 9457; template: body."
    ),
    "Response.body": (
        "With format template: text with ${reason}, ${decision_id}, ${country} and ${message}."
    ),
    "Response.content_type": "With format template: the body's type.",
    # ------------------------------------------------------------------------ regiongate.yaml
    "Settings.listen": "Where Envoy and people reach the process.",
    "Settings.engine": (
        "The gRPC server: native (fast, plaintext), grpcio (also TLS), or whichever fits."
    ),
    "Settings.tls": "What the server proves itself with, and whom it asks to.",
    "Settings.client_address": "Which one thing says who the client is.",
    "Settings.geo": "The databases that say where an address is.",
    "Settings.keys": "Where keys are found in a request, and what is known about them.",
    "Settings.policy": "The path of policy.yaml.",
    "Settings.on_error": (
        "A fault of the service's own: deny, or defer to Envoy's failure_mode_allow."
    ),
    "Settings.decision_log": "Where decisions are written down.",
    "Settings.shutdown": "How the process stops.",
    "Settings.limits": "How much is taken on at once.",
    "Settings.metrics": "What is counted beyond the rest.",
    "Settings.tracing": "Where spans go.",
    "Listen.grpc": "host:port or unix:/path for each listener.",
    "Listen.socket_mode": "The permissions of Unix sockets, octal digits in quotes.",
    "Listen.admin": "host:port of the HTTP endpoint for metrics and health.",
    "Tls.cert": "The server's certificate, PEM.",
    "Tls.key": "The certificate's private key, PEM.",
    "Tls.client_ca": "Clients must present a certificate that one of these has signed, PEM.",
    "Tls.clients": "The names of the clients that may ask; left out, all that are vouched for.",
    "ClientAddress.source": (
        "envoy: metadata that Envoy writes; xff: X-Forwarded-For; forwarded: Forwarded (RFC 7239); "
        "header: one header; "
        "peer: the TCP peer."
    ),
    "ClientAddress.metadata": "With envoy: the metadata's name.",
    "ClientAddress.header": "With header: the header's name, lower-case.",
    "ClientAddress.trusted_hops": (
        "With xff and forwarded: how many proxies before Envoy are trusted."
    ),
    "ClientAddress.trusted_proxies": (
        "The address ranges of trusted proxies, each written out or in a file of many."
    ),
    "ClientAddress.accept": (
        "With xff and header, what proxies may write around an address: port, brackets, zone."
    ),
    "RangeFile.file": (
        "A file of ranges: one a line, with # for comments, a JSON list, or AWS's ip-ranges.json."
    ),
    "RangeFile.service": (
        "Of AWS, whose ranges in ip-ranges.json are meant, for instance CLOUDFRONT_ORIGIN_FACING."
    ),
    "ClientAddress.envoy_appends": (
        "With xff: whether this Envoy appends the peer to X-Forwarded-For."
    ),
    "Geo.country": "The MMDB files with countries, the most trusted first; or the path of one.",
    "Geo.asn": "The MMDB files with AS numbers, likewise.",
    "Geo.anonymous": "The MMDB files with VPN, Tor, hosting and proxy networks, likewise.",
    "Geo.accept": "SHA-256 of files that are used even if older or smaller than the one in use.",
    "DatabaseFile.path": "The path of an MMDB file.",
    "DatabaseFile.layout": (
        "Where its records have what it is for, as in country.iso_code; or that by field."
    ),
    "Geo.max_age": "Older than this, a database is stale.",
    "Geo.on_stale": "serve: warn and go on; unknown: a stale database knows no country.",
    "Geo.probes": "Country by address: what a file must answer before it is used.",
    "Geo.require_c_extension": "Refuse to start with the slow reader.",
    "Geo.update": "Where new databases come from, for `geo update` and the service itself.",
    "Update.every": "How often the service updates them; left out, it does not.",
    "Update.sources": (
        "Source by file: user-country, server-country, origin-asn, dbip-country-lite, "
        "dbip-city-lite, dbip-asn-lite, or maxmind: and an edition."
    ),
    "Update.maxmind": "The account for MaxMind's databases.",
    "Update.mirrors": "By vendor (ip-location-db, db-ip, maxmind), an address instead of its own.",
    "MaxMind.account_id": "The number of the account.",
    "MaxMind.license_key_file": (
        "A file that holds the licence key; left out, REGIONGATE_MAXMIND_LICENSE_KEY does."
    ),
    "Keys.extract": "Where a key may be; the first place that holds one counts.",
    "Keys.store": "What is known about keys: file:PATH, sqlite:///PATH, redis:// or rediss://.",
    "Keys.pepper_file": "A secret, with which digests are HMAC-SHA256 instead of SHA-256.",
    "Keys.previous_pepper_file": (
        "The secret before this one: keys known by it stay known. An empty file for SHA-256."
    ),
    "Keys.lookup": "What a request waits for when its key is not remembered.",
    "Lookup.deadline": "How long the store may take to answer; a look-up waits for its turn.",
    "Lookup.concurrent": "How many look-ups are under way at once.",
    "Keys.cache": "How much of a remote store is remembered, and how long.",
    "Keys.on_store_error": "stale: use what is remembered; deny: refuse.",
    "Extract.header": "A header's name, lower-case.",
    "Extract.scheme": "The word before the key in the header, for instance Bearer.",
    "Extract.metadata": "A namespace of Envoy's dynamic metadata.",
    "Extract.path": "The keys that lead to the value in that metadata.",
    "Cache.size": "How many keys are remembered.",
    "Cache.ttl": "How long a known key is.",
    "Cache.negative_ttl": "How long an unknown key is.",
    "DecisionLog.path": "A file, or - for standard output.",
    "DecisionLog.sample_allowed": "The share of plain allows that is written, 0 to 1.",
    "DecisionLog.address": "How much of the client's address is written.",
    "DecisionLog.hmac_key_file": "With address hmac: the file that holds the key.",
    "Limits.calls": "How many calls are answered at once.",
    "Limits.streams": "How many streams one connection may have.",
    "Metrics.countries": "Whether decisions are counted by country.",
    "Tracing.endpoint": "A collector that takes OTLP over HTTP.",
    "Tracing.sample": "The share of Checks that is traced, 0 to 1.",
    "Shutdown.notice": "How long health says NOT_SERVING before the process takes no more calls.",
    "Shutdown.grace": "How long calls under way may take after that.",
    # ------------------------------------------------------------------------------ keys.yaml
    "KeyFile.version": "The version of the format: 1.",
    "KeyFile.organisations": "Organisations by id; their keys inherit what they say.",
    "KeyFile.keys": "The keys.",
    "OrganisationModel.name": "The organisation's name, for people.",
    "KeyModel.id": "What logs and headers name the key by; never the key itself.",
    "KeyModel.digest": "sha256: or hmac-sha256: and 64 hexadecimal digits.",
    "KeyModel.org": "The id of the organisation it belongs to.",
    "KeyModel.status": "active, suspended or revoked.",
    "KeyModel.status_reason": "Why it is not active.",
    "KeyModel.status_at": "When the status was set.",
    "KeyModel.status_by": "Who set the status.",
    "KeyModel.evidence": "The refusals that the key was suspended for.",
    "EvidenceModel.rule": "That refused.",
    "EvidenceModel.strikes": "How many refusals.",
    "EvidenceModel.first": "When the earliest was.",
    "EvidenceModel.last": "When the latest was.",
    "EvidenceModel.countries": "Where they came from.",
    "KeyModel.display": (
        "What a person recognises the key by, for instance its last four characters."
    ),
    "KeyModel.created": "When it was made.",
    "KeyModel.not_before": "The key is unknown before.",
    "KeyModel.expires": "The key is expired from then on.",
    "ExemptionModel.id": "What a decision names the exemption by.",
    "ExemptionModel.rule": "The rule it lifts, or * for every rule that can be lifted.",
    "ExemptionModel.why": "The reason, for whoever reads it later.",
    "ExemptionModel.ticket": "Where it was asked for.",
    "ExemptionModel.approved_by": "Who answers for it.",
    "ExemptionModel.ends": "From when it lifts nothing more.",
    "ExemptionModel.begins": "From when it counts; left out, always.",
    "ExemptionModel.countries": "Where it counts; left out, everywhere.",
    "plan": "The plan, as policies name it.",
    "home_country": "ISO 3166 code of where the customer says it is.",
    "billing_country": "ISO 3166 code of where it pays from.",
    "hq_country": "ISO 3166 code of where its headquarters are.",
    "ownership_countries": "ISO 3166 codes of where its owners are.",
    "allowed_countries": "ISO 3166 codes of where the key may be used; left out, anywhere.",
    "denied_countries": "ISO 3166 codes of where the key may not be used.",
    "labels": "Anything else a policy is to know, as text.",
    "exemptions": "Standing permissions to pass a rule.",
    # ----------------------------------------------------------------------- tables of cases
    "CaseFile.version": "The version of the format: 1.",
    "CaseFile.defaults": "What is given where a case does not say otherwise.",
    "CaseFile.cases": "The cases.",
    "CaseModel.name": "What the case is called; unique.",
    "CaseModel.given": "The facts, the policy and the moment.",
    "CaseModel.expect": "What must be decided; what is left out may be anything.",
    "Given.address": "The client's address.",
    "Given.status": "located, unknown, private or unresolved; follows from country if left out.",
    "Given.country": "ISO 3166-1 alpha-2, or XK.",
    "Given.regions": "ISO 3166-2 codes of subdivisions of the country, largest first.",
    "Given.continent": "Two letters, for instance EU.",
    "Given.registered_country": "Where the network is registered.",
    "Given.network": "The network of the database record, in CIDR form.",
    "Given.asn": "The number of the autonomous system.",
    "Given.as_org": "Whose autonomous system it is.",
    "Given.anonymous": "An anonymising network of any kind.",
    "Given.vpn": "A VPN.",
    "Given.tor": "A Tor exit.",
    "Given.hosting": "A hosting provider.",
    "Given.proxy": "A proxy.",
    "Given.key": "What is known about the key; left out, the request carries none.",
    "Given.request": "What is asked.",
    "Given.policy": "The policy that the route names.",
    "Given.at": "The moment to decide at.",
    "GivenKey.found": "Follows from the rest: a key of which anything is known is found.",
    "GivenKey.presented": "Whether the request carries a key; alone, it is an unknown one.",
    "GivenKey.id": "The key's id.",
    "GivenKey.org": "The organisation's id.",
    "GivenKey.status": (
        "active, suspended, revoked or expired; a key that is found is active if left out."
    ),
    "GivenKey.created": "When it was made.",
    "GivenKey.expires": "When it expires; status is not derived from it.",
    "GivenKey.problem": "Why the key could not be read as exactly one key.",
    "GivenExemption.id": "What the decision names the exemption by.",
    "GivenExemption.rule": "The rule it lifts, or * for every rule that can be lifted.",
    "GivenExemption.ends": "From when it lifts nothing more.",
    "GivenExemption.begins": "From when it counts; left out, always.",
    "GivenExemption.countries": "Where it counts; left out, everywhere.",
    "GivenExemption.why": "Not looked at.",
    "GivenExemption.ticket": "Not looked at.",
    "GivenExemption.approved_by": "Not looked at.",
    "GivenRequest.method": "The method.",
    "GivenRequest.host": "The host.",
    "GivenRequest.path": "The path without the query.",
    "GivenRequest.query": "The query.",
    "GivenRequest.scheme": "http or https.",
    "GivenRequest.protocol": "For instance HTTP/2.",
    "GivenRequest.headers": "Headers by lower-case name.",
    "GivenRequest.route": "Envoy's context extensions.",
    "GivenRequest.principal": "The identity of the client's certificate.",
    "GivenRequest.sni": "The name the client asked for in TLS.",
    "Expect.verdict": "allow or deny: what is done.",
    "Expect.policy_verdict": (
        "allow or deny: what the policy does once every phase that has begun is enforced "
        "and nothing is in shadow."
    ),
    "Expect.rule": 'The rule that decides; "" for none.',
    "Expect.reason": "The reason.",
    "Expect.status": "The HTTP status of the refusal; null where nothing is refused.",
    "Expect.phase": 'The phase of the rule; "" where none applied.',
    "Expect.exemption": 'The id of the exemption that lifted a rule; "" for none.',
}
