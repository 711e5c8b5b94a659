"""Digests of keys: the known vectors of two algorithms, and how stores write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.keys import minting
from regiongate.keys.digest import Digester

SHA256 = {
    # FIPS 180-4, NIST's examples.
    b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
}
HMAC_SHA256 = [
    # RFC 4231, section 4: cases 1, 2, 3 and 6.
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
]
HEXADECIMAL = SHA256[b"abc"]


@pytest.mark.parametrize(("key", "expected"), SHA256.items())
def test_sha256(key: bytes, expected: str) -> None:
    """Without a pepper a key is known by its SHA-256."""
    assert Digester().digest(key).hex() == expected


@pytest.mark.parametrize(("pepper", "key", "expected"), HMAC_SHA256)
def test_hmac_sha256(pepper: bytes, key: bytes, expected: str) -> None:
    """With a pepper a key is known by its HMAC-SHA256."""
    assert Digester(pepper).digest(key).hex() == expected


ALGORITHMS = {b"": "sha256", b"pepper": "hmac-sha256"}


@pytest.mark.parametrize(("pepper", "algorithm"), ALGORITHMS.items())
def test_written_digests(pepper: bytes, algorithm: str) -> None:
    """A store's digest names its algorithm."""
    written = f"{algorithm}:{HEXADECIMAL}"
    assert Digester(pepper).read(written) == bytes.fromhex(HEXADECIMAL)
    assert Digester(pepper).write(bytes.fromhex(HEXADECIMAL)) == written


@pytest.mark.parametrize("digits", [HEXADECIMAL.upper(), HEXADECIMAL.title()])
def test_capital_digits(digits: str) -> None:
    """Hexadecimal digits are read in either case and written in small letters."""
    assert Digester().read(f"sha256:{digits}") == bytes.fromhex(HEXADECIMAL)
    assert Digester().write(Digester().read(f"sha256:{digits}")) == f"sha256:{HEXADECIMAL}"


@settings(deadline=None, derandomize=True, database=None)
@given(pepper=st.binary(max_size=80), key=st.binary(max_size=80))
def test_what_is_written_is_read(pepper: bytes, key: bytes) -> None:
    """A digest that was written is read as the same one."""
    digester = Digester(pepper)
    assert digester.read(digester.write(digester.digest(key))) == digester.digest(key)


MISWRITTEN = [
    "",
    "sha256:",
    HEXADECIMAL,
    f"sha256:{HEXADECIMAL[:-1]}",
    f"sha256:{HEXADECIMAL}0",
    f"sha256:{HEXADECIMAL[:-1]}g",
    f"sha256:{HEXADECIMAL}\n",
    f" sha256:{HEXADECIMAL}",
    f"sha256: {HEXADECIMAL[:-1]}",
    f"SHA256:{HEXADECIMAL}",
    f"sha512:{HEXADECIMAL}",
    f"sha256:{HEXADECIMAL[:-1]}\u0660",
    "sk-live-a-key-and-not-its-digest",
]


@pytest.mark.parametrize("written", MISWRITTEN)
def test_miswritten_digests(written: str) -> None:
    """What is no digest is refused without being shown: it may be the key itself."""
    with pytest.raises(ValueError, match=r"^expected sha256: or hmac-sha256: and 64 hexadecimal"):
        Digester().read(written)


OTHERS = [
    (b"", "hmac-sha256", "expected sha256, as no pepper is configured (got hmac-sha256)"),
    (b"pepper", "sha256", "expected hmac-sha256, as a pepper is configured (got sha256)"),
]


@pytest.mark.parametrize(("pepper", "algorithm", "message"), OTHERS)
def test_digests_by_the_other_algorithm(pepper: bytes, algorithm: str, message: str) -> None:
    """A digest that no key can have is a mistake to be told, not a key that never matches."""
    with pytest.raises(ValueError, match=r"^expected") as caught:
        Digester(pepper).read(f"{algorithm}:{HEXADECIMAL}")
    assert str(caught.value) == message


@pytest.mark.parametrize(("pepper", "algorithm"), ALGORITHMS.items())
def test_a_digester_does_not_show_its_pepper(pepper: bytes, algorithm: str) -> None:
    """What a log or a traceback may print of a digester holds no secret."""
    assert repr(Digester(pepper)) == str(Digester(pepper)) == f"Digester({algorithm})"


def test_a_mistyped_key_has_no_digest() -> None:
    """A store is not asked about a key whose checksum is wrong; one from elsewhere has a digest."""
    key = minting.mint()
    mistyped = f"{key[:-1]}{'a' if key[-1] != 'a' else 'b'}"
    for digester in (Digester(), Digester(b"pepper", Digester())):
        assert digester.digests(mistyped.encode()) == ()
        assert digester.digests(key.encode())
        assert digester.digests(b"rg_from-elsewhere")
