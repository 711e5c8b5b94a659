"""From the text of policy.yaml to a PolicySet, with every mistake told at once.

Pure: the text is handed in, and so is the way to read a list that is kept in a file of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from regiongate.countries import country_of, is_code, meant
from regiongate.documents import (
    Document,
    DocumentError,
    Path,
    Problem,
    check,
    parse,
    resembling,
    shown,
)
from regiongate.policy import model, schema
from regiongate.policy.conditions import Condition, Language
from regiongate.policy.phases import ALWAYS, Phase, Schedule
from regiongate.policy.regions import RegionList, narrow
from regiongate.policy.syntax import ConditionError
from regiongate.policy.templates import TemplateError, check_template
from regiongate.printable import printable

ReadFile = Callable[[str], str]
"""Reads a file that a policy names; raises OSError or UnicodeDecodeError when it cannot."""


def load(name: str, text: str, read: ReadFile) -> model.PolicySet:
    """Load a policy file.

    Args:
        name: the file's name, for messages.
        text: its content.
        read: reads the region lists that are files of their own.

    Raises:
        DocumentError: with every problem found in the file and in the lists it names.
    """
    document = parse(name, text)
    return _Loader(document, read).policy_set(check(document, schema.PolicyFile), text)


class _Loader:
    """Gives a checked file its meaning, collecting problems on the way."""

    def __init__(self, document: Document, read: ReadFile) -> None:
        self._document = document
        self._read = read
        self._problems: list[Problem] = []
        self._unread: Exception | None = None

    def policy_set(self, file: schema.PolicyFile, text: str) -> model.PolicySet:
        digest = hashlib.sha256(text.encode())
        regions = self._regions(file.regions, digest.update)
        language = Language(regions)
        policies = {
            name: self._policy(name, policy, language) for name, policy in file.policies.items()
        }
        responses = {name: self._response(name, one) for name, one in file.responses.items()}
        if self._problems:
            told = sorted(self._problems, key=lambda one: (one.file, one.line))
            raise DocumentError(told) from self._unread
        return model.PolicySet(
            policies=policies,
            responses=responses,
            regions=regions,
            language=language,
            digest=digest.hexdigest(),
        )

    def _problem(self, path: Path, message: str) -> None:
        self._problems.append(self._document.problem(path, message))

    # ------------------------------------------------------------------------------- regions

    def _regions(
        self,
        written: Mapping[str, list[str] | schema.RegionFile | schema.RegionExpression],
        seen: Callable[[bytes], None],
    ) -> dict[str, RegionList]:
        """Resolve the named lists; what files hold is handed to `seen` for the digest."""
        lists: dict[str, RegionList] = {}
        for name, value in written.items():
            if isinstance(value, list):
                lists[name] = RegionList(frozenset(value))
            elif isinstance(value, schema.RegionFile):
                lists[name] = self._from_file(("regions", name, "file"), value.file, seen)
        expressions = {
            name: value
            for name, value in written.items()
            if isinstance(value, schema.RegionExpression)
        }
        # Made of those above alone: what an expression takes out could not be taken out of another.
        lists |= {
            name: self._combined(name, value, lists, expressions)
            for name, value in expressions.items()
        }
        return {name: lists[name] for name in written}

    def _from_file(self, path: Path, file: str, seen: Callable[[bytes], None]) -> RegionList:
        try:
            text = self._read(file)
        except (OSError, ValueError) as error:  # not UTF-8, or a NUL in the name
            self._unread = error
            why = error.strerror if isinstance(error, OSError) else error
            self._problem(path, f"{printable(file)}: expected a readable list of codes ({why})")
            return RegionList(frozenset())
        # Each by its own digest: a line that goes from one list to the next is a change.
        seen(hashlib.sha256(text.encode()).digest())
        codes = set[str]()
        for number, line in enumerate(text.splitlines(), start=1):
            code = line.partition("#")[0].strip()
            if code and not is_code(code):
                expected = f"expected an ISO 3166 code such as FR or UA-43 (got {shown(code)})"
                problem = Problem(self._beside(file), number, "", f"{expected}{meant(code)}")
                self._problems.append(problem)
            codes.update({code} - {""})
        if not codes:
            # More likely cut short than meant: a deny-list without a code lets everybody pass.
            expected = "expected a code a line (got none); a list that is to be empty is written []"
            self._problem(path, f"{printable(file)}: {expected}")
        return RegionList(frozenset(codes))

    def _beside(self, file: str) -> str:
        """Name a file as the policy file is named, which it lies beside."""
        folder, slash, _ = self._document.name.rpartition("/")
        return file if file.startswith("/") else f"{folder}{slash}{file}"

    def _combined(
        self,
        name: str,
        written: schema.RegionExpression,
        lists: Mapping[str, RegionList],
        expressions: Collection[str],
    ) -> RegionList:
        def codes(key: str, names: list[str]) -> frozenset[str]:
            found: set[str] = set()
            for index, other in enumerate(names):
                path: Path = ("regions", name, key, index)
                if other in lists:
                    found |= lists[other].codes
                elif other in expressions:
                    expected = "expected a list written in full or kept in a file"
                    got = f"{shown(other)}, which is itself combined"
                    self._problem(path, f"{expected} (got {got})")
                else:
                    expected = f"expected the name of a region list (got {shown(other)})"
                    self._problem(path, f"{expected}{resembling(other, lists)}")
            return frozenset(found)

        union, minus = codes("union", written.union), codes("minus", written.minus)
        left = union - narrow(union, minus)
        return RegionList(left, frozenset(code for code in minus if country_of(code) in left))

    # ------------------------------------------------------------------------------ policies

    def _policy(self, name: str, written: schema.Policy, language: Language) -> model.Policy:
        rules = [
            self._rule(("policies", name, "rules", index), rule, language)
            for index, rule in enumerate(written.rules)
        ]
        return model.Policy(
            name=name,
            rules=tuple(rule for rule in rules if rule is not None),
            otherwise=_otherwise(written.otherwise),
            shadow=written.mode == "shadow",
        )

    def _rule(self, path: Path, written: schema.Rule, language: Language) -> model.Rule | None:
        condition = self._condition((*path, "when"), written.when, language)
        schedule = self._schedule((*path, "phases"), written.phases)
        if condition is None:
            return None
        return model.Rule(
            name=written.name,
            condition=condition,
            reason=(written.deny or written.allow or schema.Allow()).reason,
            refusal=_refusal(written.deny),
            exemptable=written.exemptable,
            shadow=written.mode == "shadow",
            schedule=schedule,
            suspension=_suspension(written.suspend),
        )

    def _condition(self, path: Path, text: str, language: Language) -> Condition | None:
        try:
            return language.compile(text)
        except ConditionError as error:
            self._problem(path, str(error))
            return None

    def _schedule(self, path: Path, written: schema.Phases | None) -> Schedule:
        if written is None:
            return ALWAYS
        begins: dict[str, datetime] = {}
        for phase in Phase:
            moment = _moment(getattr(written, phase), written.zone)
            if moment is not None and moment.tzinfo is None:
                expected = "expected a moment with an offset from UTC, or a zone beside it"
                self._problem((*path, phase), f"{expected} (got {moment.isoformat()})")
            elif moment is not None:
                begins[phase] = moment
        try:
            return Schedule(**begins)
        except ValueError as error:
            self._problem(path, str(error))
            return ALWAYS

    def _response(self, name: str, written: schema.Response) -> model.Response:
        try:
            check_template(written.body, written.content_type)
        except TemplateError as error:
            self._problem(("responses", name, "body"), str(error))
        usual = model.WELL_KNOWN.get(name, model.Response())
        return model.Response(
            status=written.status or usual.status,
            message=usual.message if written.message is None else written.message,
            format=written.format,
            body=written.body,
            content_type=written.content_type,
        )


def _moment(moment: datetime | None, zone: str | None) -> datetime | None:
    """Give a local time its zone; one with an offset keeps it."""
    if moment is None or moment.tzinfo is not None or zone is None:
        return moment
    return moment.replace(tzinfo=ZoneInfo(zone))


def _refusal(written: schema.Deny | None) -> model.Refusal | None:
    return model.Refusal(written.reason, written.status, written.message) if written else None


def _otherwise(written: str | schema.Otherwise) -> model.Refusal | None:
    if isinstance(written, schema.Otherwise):
        return _refusal(written.deny)
    return model.Refusal("otherwise") if written == "deny" else None


def _suspension(written: schema.Suspend | None) -> model.Suspension | None:
    within: timedelta | None = written.within if written else None
    return model.Suspension(written.after, within) if written and within else None
