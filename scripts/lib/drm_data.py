"""Readers of others judge the DRM data that we write: pywidevine every Widevine box, pyplayready every PlayReady box and
header, wherever they stand (init segments, fragments, MPDs, playlists). Each must be read, and name the key ids that the
media has: ISO/IEC 23001-7 §8.1.

`drm_data.py` packs the fixtures in several ways and judges what came of it; exit code 1 when a reader refuses or misses
something. DRM_PACK names the command, target/release/drm-pack unless set. It runs in the Python of `scripts/peers install`.
"""
import base64
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from pyplayready.system.pssh import PSSH as PlayReady
from pywidevine.pssh import PSSH as Widevine

import boxes

DRM_PACK = os.environ.get("DRM_PACK", "target/release/drm-pack")
CLIP = pathlib.Path("fixtures/clip")
WIDEVINE = bytes.fromhex("edef8ba979d64acea3c827dcd51d21ed")
PLAYREADY = bytes.fromhex("9a04f07998404286ab92e65be0885f95")
LICENSES = ["--la-url", "playready=https://licenses.example/rightsmanager.asmx?a=1&b=2"]
# Name of the input, and options; each with cenc and cbcs.
JOBS = [
    ("hls/master.m3u8", []),
    ("hls/master.m3u8", ["--preset", "preset1"]),
    ("hls/master.m3u8", ["--rotate-every", "1"]),
    ("dash/manifest.mpd", LICENSES),
    ("dash/manifest.mpd", ["--rotate-every", "1", "--preset", "preset1"]),
    ("mp4/av.mp4", ["--preset", "preset1", *LICENSES]),
    ("mp4/av.mp4", ["--layout", "single-file"]),
]


def pssh_boxes(data):
    """Every pssh box in bytes of a file; a search by type, because it stands in moov and in moof."""
    at = data.find(b"pssh")
    while at >= 4:
        size = int.from_bytes(data[at - 4:at], "big")
        yield data[at - 4:at - 4 + size]
        at = data.find(b"pssh", at + 4)


def group_kids(data):
    """The key ids of seig groups: ISO/IEC 23001-7 §6."""
    at = data.find(b"seig")
    while at >= 0:
        # sgpd of version 1: default_length 20, entry_count, then reserved, pattern, isProtected, IV size, KID.
        if data[at - 8:at - 4] == b"sgpd":
            for entry in range(int.from_bytes(data[at + 8:at + 12], "big")):
                start = at + 12 + 20 * entry
                yield data[start + 4:start + 20].hex()
        at = data.find(b"seig", at + 4)


def found_in(path):
    """Boxes and PlayReady objects in a file, and the key ids of its media."""
    data, kids = path.read_bytes(), set()
    if path.suffix in (".mpd", ".m3u8"):
        text = data.decode()
        for name, value in re.findall(r"<(?:\w+:)?(pssh|pro)\b[^>]*>([^<]+)<", text):
            yield ("box" if name == "pssh" else "object"), base64.b64decode(value), kids
        for value in re.findall(r'URI="data:text/plain;(?:charset=UTF-16;)?base64,([^"]+)"', text):
            value = base64.b64decode(value)
            yield ("box" if value[4:8] == b"pssh" else "object"), value, kids
        return
    kids = set(boxes.default_kids(data)) | set(group_kids(data))
    for box in pssh_boxes(data):
        yield "box", box, kids


def kids_of(kind, value):
    """The system that a box or object is of, and the key ids that its reader finds."""
    system = value[12:28] if kind == "box" else PLAYREADY
    if system == WIDEVINE:
        return "Widevine", {kid.hex for kid in Widevine(value, strict=True).key_ids}
    if system == PLAYREADY:
        headers = PlayReady(value).wrm_headers
        return "PlayReady", {key.value.hex for header in headers for key in header.key_ids}
    raise ValueError(f"a box of system {system.hex()}")


def judge(folder):
    """How many boxes and objects of each system were read, and what is wrong."""
    counts, wrong, named, media = {}, [], {}, set()
    for path in sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file()):
        for kind, value, kids in found_in(path):
            try:
                system, found = kids_of(kind, value)
            except Exception as error:  # Whatever a reader says is its verdict.
                wrong.append(f"{path.relative_to(folder)}: {kind} refused: {error!r}")
                continue
            counts[system] = counts.get(system, 0) + 1
            named.setdefault(system, set()).update(found)
            if not found:
                wrong.append(f"{path.relative_to(folder)}: no key id in a {kind} of {system}")
        if path.suffix not in (".mpd", ".m3u8"):
            data = path.read_bytes()
            media |= set(boxes.default_kids(data)) | set(group_kids(data))
    media.discard("0" * 32)
    for system in ("Widevine", "PlayReady"):
        if named.get(system) != media:
            wrong.append(f"{system} names {sorted(named.get(system, []))}, the media has {sorted(media)}")
    return counts, wrong


def main():
    failed = False
    for name, options in JOBS:
        for scheme in ("cenc", "cbcs"):
            with tempfile.TemporaryDirectory() as out:
                call = [DRM_PACK, "pack", CLIP / name, "--out", out + "/out", "--drm", "widevine+playready",
                        "--scheme", scheme, "--dev-keys", "peers", *options]
                subprocess.run(call, check=True, capture_output=True)
                counts, wrong = judge(out + "/out")
            read = ", ".join(f"{count} of {system}" for system, count in sorted(counts.items()))
            print(f"{name} {scheme} {' '.join(options)}: {read}" + ("" if not wrong else ": WRONG"))
            for fault in wrong:
                print("  " + fault)
            failed |= bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
