"""The name of a key record, taken apart, and the names that go with it.

`selector._domainkey.D` (RFC 6376 section 3.6.2.1): D is the domain that signs. From it follow the
names where people publish a record by mistake, and those where a policy for the sender stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import idna

NAME_MAX = 253
"""Characters of a name without its final dot (RFC 1035 section 2.3.4)."""
LABEL_MAX = 63
PARENTS_MAX = 7
"""So many parents of a domain are asked for a policy (as in RFC 9989, against endless names)."""
SUFFIX = re.compile(r"(com?|org?|net?|gov?|edu|ac|go)\.[a-z]{2}")


@dataclass(frozen=True, slots=True)
class KeyHost:
    """Selector and signing domain, lower case, in A-labels."""

    selector: str
    domain: str

    def __str__(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @classmethod
    def of(cls, host: str) -> KeyHost | None:
        """None if the text is no name of a key record."""
        selector, mark, domain = a_labels(host).partition("._domainkey.")
        found = cls(selector, domain)
        return found if mark and selector and domain and is_name(str(found)) else None

    def sibling(self, label: str) -> str:
        """A name beside the host's: where it has the same records, a wildcard answers."""
        return f"{label}._domainkey.{self.domain}"

    def slips(self, apex: str) -> tuple[str, ...]:
        """Where the record may stand by mistake, the likeliest first; all in the zone `apex`."""
        parent = self.domain.partition(".")[2]
        names = (
            f"{self}.{apex}",
            f"{self.selector}.domainkey.{self.domain}",
            f"{self.selector}.{self.domain}",
            f"_domainkey.{self.domain}",
            apex,
            self.domain,
            f"{self.selector}._domainkey.{parent}",
        )
        fit = (n for n in names if is_within(n, apex) and is_name(n) and n != str(self))
        return tuple(dict.fromkeys(fit))


def a_labels(name: str) -> str:
    """A name in lower case, without final dot, in A-labels (RFC 5891); as it stands where it has none."""
    return ".".join(_a_label(label) for label in name.strip().lower().removesuffix(".").split("."))


def _a_label(label: str) -> str:
    # Not for ASCII: an underscore is fine in DNS, but not in IDNA.
    if label.isascii():
        return label
    try:
        return idna.encode(label, uts46=True).decode()
    except idna.IDNAError:
        return label


def is_name(name: str) -> bool:
    """Whether it fits into DNS: ASCII, no empty or over-long label, not too long as a whole."""
    labels = name.split(".")
    return name.isascii() and len(name) <= NAME_MAX and all(0 < len(x) <= LABEL_MAX for x in labels)


def is_within(name: str, domain: str) -> bool:
    """Whether `name` is `domain` or below it."""
    return name == domain or name.endswith(f".{domain}")


def is_registry(domain: str) -> bool:
    """Whether others register their domains under it: `example`, `co.uk`, `com.au`."""
    return "." not in domain or SUFFIX.fullmatch(domain) is not None


def policy_domains(domain: str) -> tuple[str, ...]:
    """The domain and its parents, where DMARC looks for a policy; none that a registry holds."""
    labels = domain.split(".")
    chain = [".".join(labels[n:]) for n in range(len(labels))]
    return tuple(name for name in chain if not is_registry(name))[: PARENTS_MAX + 1] or (domain,)
