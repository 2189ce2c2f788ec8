"""An MP4 of two views (MV-HEVC) from the stream of an encoder: base layer in hvcC, the second in lhvC — ISO/IEC 14496-15 §9.

    python3 scripts/lib/spatial.py STREAM.hevc OUT.mp4

x265 from 4.0 on writes such streams when it is built with ENABLE_MULTIVIEW; Debian's is not.
"""
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from boxes import walk

CONTAINERS = {"moov", "trak", "mdia", "minf", "stbl"}
PARAMETER_SETS = (32, 33, 34)


def box(kind, *contents):
    payload = b"".join(contents)
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def nal_units(stream):
    starts = [found.start() for found in re.finditer(b"\0\0\1", stream)]
    for start, end in zip(starts, [*starts[1:], len(stream)]):
        yield stream[start + 3:end].rstrip(b"\0")


def header(nal_unit):
    return nal_unit[0] >> 1 & 63, (nal_unit[0] & 1) << 5 | nal_unit[1] >> 3


def lhvc(sets):
    """LHEVCDecoderConfigurationRecord: §9.5.3.1; lengths of four bytes."""
    record = bytes([1, 0xf0, 0, 0xfc, 0xcf, len(sets)])
    for nal_unit in sets:
        record += bytes([0x80 | header(nal_unit)[0], 0, 1]) + struct.pack(">H", len(nal_unit)) + nal_unit
    return box(b"lhvC", record)


def vexu():
    """Both eyes, the left one first: Apple, QuickTime and ISO Base Media File Formats and Spatial and Immersive Media."""
    stri, hero = box(b"stri", b"\0\0\0\0\3"), box(b"hero", b"\0\0\0\0\1")
    return box(b"vexu", box(b"eyes", stri, hero))


def sizes(data):
    """Sizes of the samples, of the one stsz."""
    at = data.index(b"stsz") + 12
    (count,) = struct.unpack_from(">I", data, at)
    return struct.unpack_from(f">{count}I", data, at + 4)


def edited(data, replaced, added):
    """The boxes of `data` with other payloads, and with `added` at the end of the sample entry."""
    out = b""
    for found in walk(data):
        payload = replaced.get(found.type, data[found.payload:found.end])
        if found.type in CONTAINERS:
            payload = edited(payload, replaced, added)
        elif found.type == "stsd":
            entry = payload[8:]
            payload = payload[:8] + box(entry[4:8], entry[8:], added)
        out += box(found.type.encode("latin-1"), payload)
    return out


def mux_base(units):
    """FFmpeg's MP4 of the base layer; its movie box is behind the media, so that no offset changes."""
    with tempfile.TemporaryDirectory() as folder:
        stream, muxed = Path(folder, "base.hevc"), Path(folder, "base.mp4")
        stream.write_bytes(b"".join(b"\0\0\1" + unit for unit in units))
        command = ["ffmpeg", "-v", "error", "-f", "hevc", "-r", "25", "-i", stream, "-c", "copy", "-tag:v", "hvc1"]
        subprocess.run([*command, "-bitexact", "-map_metadata", "-1", muxed], check=True)
        return muxed.read_bytes()


def main(stream, out):
    units = list(nal_units(Path(stream).read_bytes()))
    second = [unit for unit in units if header(unit)[1] == 1]
    sets = [unit for unit in second if header(unit)[0] in PARAMETER_SETS]
    # One slice of the second view in each access unit.
    slices = [struct.pack(">I", len(unit)) + unit for unit in second if unit not in sets]
    data = mux_base([unit for unit in units if unit not in second])
    media = next(data[found.payload:found.end] for found in walk(data) if found.type == "mdat")
    samples = []
    for size, beside in zip(sizes(data), slices, strict=True):
        samples.append(media[:size] + beside)
        media = media[size:]
    stsz = struct.pack(f">3I{len(samples)}I", 0, 0, len(samples), *map(len, samples))
    Path(out).write_bytes(edited(data, {"mdat": b"".join(samples), "stsz": stsz}, lhvc(sets) + vexu()))


if __name__ == "__main__":
    main(*sys.argv[1:])
