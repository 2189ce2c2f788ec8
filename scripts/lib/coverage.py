"""The coverage law: of what was packed, every byte of every mdat, PES packet and frame is protected, or clear by a
rule that is stated here.

`coverage.py` packs clips of fixtures/ with the command in DRM_PACK (target/debug/drm-pack), reads what came out with
a reader of its own (ISO/IEC 14496-12 §8, 23001-7 §7 and §9, 13818-1 §2.4.3, Apple's stream encryption for HLS), holds
it to the clear source byte by byte, prints how many bytes are what, and plants faults that it must find. With -v each
output has a line.

A block that is said to be encrypted is another one than the source's; every other byte is the same.
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import chain
from boxes import walk
from samples import Fault, Node, fragment_samples, source_samples, tracks, u32

CLIP = pathlib.Path("fixtures/clip")
DRM_PACK = os.environ.get("DRM_PACK", "target/debug/drm-pack")
BLOCK = 16
# Most clear bytes before the data of a slice or tile: its headers, and the sizes around it.
MOST_HEADER = 64
SCHEMES = ("cenc", "cbcs", "cens", "cbc1")


# What of a codec's sample may be clear.

def nal_units(sample, length_size):
    at = 0
    while at < len(sample):
        length = int.from_bytes(sample[at:at + length_size], "big")
        yield at, at + length_size, at + length_size + length
        at += length_size + length
    if at != len(sample):
        raise Fault("NAL units end outside the sample")


def leb128(data, at):
    value = 0
    for index in range(8):
        value |= (data[at + index] & 0x7f) << 7 * index
        if not data[at + index] & 0x80:
            return value, at + index + 1
    raise Fault("a size of more than eight bytes")


def obus(sample):
    at = 0
    while at < len(sample):
        kind, payload = sample[at] >> 3 & 15, at + (2 if sample[at] & 4 else 1)
        length, payload = leb128(sample, payload) if sample[at] & 2 else (len(sample) - payload, payload)
        yield kind, payload, payload + length
        at = payload + length


def vp9_frames(sample):
    last = sample[-1]
    if last & 0xe0 == 0xc0:
        width, count = (last >> 3 & 3) + 1, (last & 7) + 1
        index = len(sample) - 2 - width * count
        if sample[index] == last:
            at = 0
            for number in range(count):
                length = int.from_bytes(sample[index + 1 + number * width:][:width], "little")
                yield at, at + length
                at += length
            return
    yield 0, len(sample)


def payloads(clear, sample_entry):
    """Where the data of slices, tiles and frames may lie: ranges that are protected but for their headers."""
    kind = sample_entry.format
    if kind in ("avc1", "avc3", "dva1", "dvav"):
        for _, start, end in nal_units(clear, sample_entry.length_size):
            if start < end and clear[start] & 31 in (1, 5):
                yield start, end
            elif start < end and clear[start] & 31 in (2, 3, 4, 19, 20, 21):
                raise Fault(f"a slice of nal_unit_type {clear[start] & 31}")
    elif kind in ("hvc1", "hev1", "dvh1", "dvhe"):
        for _, start, end in nal_units(clear, sample_entry.length_size):
            if end - start >= 2 and clear[start] >> 1 & 63 < 32:
                yield start, end
    elif kind in ("av01", "dav1"):
        yield from ((start, end) for obu, start, end in obus(clear) if obu in (4, 6))
    elif kind in ("vp09", "vp08"):
        yield from vp9_frames(clear)


def runs_of(sample):
    """The protected ranges of a sample, counted from its first byte."""
    length = sample.end - sample.start
    if not sample.runs:
        return [(0, length)]
    at, found = 0, []
    for clear, protected in sample.runs:
        at += clear
        if protected:
            found.append((at, at + protected))
        at += protected
    if at != length:
        raise Fault(f"subsamples add up to {at} bytes, the sample has {length}")
    return found


def encrypted_blocks(sample, start, end):
    """The parts of a protected range that the scheme encrypts: by pattern, and without the last part of a block."""
    scheme, tenc = sample.entry.scheme, sample.protection
    last = end if scheme == "cenc" else end - (end - start) % BLOCK
    period = (tenc.crypt + tenc.skip) * BLOCK if tenc.skip else 0
    for at in range(start, last, BLOCK):
        if not period or (at - start) % period < tenc.crypt * BLOCK:
            yield at, min(at + BLOCK, last)


class Ledger(collections.Counter):
    """Bytes by the rule that accounts for them."""

    longest_header = 0

    def sample(self, sample, data, clear):
        found = data[sample.start:sample.end]
        if len(found) != len(clear):
            raise Fault(f"{len(found)} bytes, the source has {len(clear)}")
        expected = bytearray(clear)
        runs = runs_of(sample)
        for start, end in runs:
            count = 0
            for at, until in encrypted_blocks(sample, start, end):
                if until - at >= 4 and found[at:until] == clear[at:until]:
                    raise Fault(f"bytes {at}..{until} are said to be encrypted, and are those of the source")
                expected[at:until] = found[at:until]
                count += until - at
            self["encrypted"] += count
            whole = end - start - (end - start) % BLOCK if sample.entry.scheme != "cenc" else end - start
            self["skipped by the pattern"] += whole - count
            self["last part of a block"] += end - start - whole
        if bytes(expected) != found:
            raise Fault("a byte that is not encrypted is another one than the source's")
        if sample.entry.format in CODECS:
            self.headers(runs, clear, sample)
        elif sum(end - start for start, end in runs) != len(clear):
            raise Fault(f"a sample of {sample.entry.format} that is not protected whole")

    def headers(self, runs, clear, sample):
        """Clear bytes are before the data of a slice or tile, or in what has none; the data is protected to its end."""
        left, others = list(runs), len(clear)
        for start, end in payloads(clear, sample.entry):
            own = [run for run in left if start <= run[0] and run[1] <= end]
            left = [run for run in left if run not in own]
            at = start
            for run in own or [(end, end)]:
                # Counter mode leaves up to a block clear before what it encrypts; less than a block may stay clear.
                header = run[0] - at
                if header > MOST_HEADER:
                    raise Fault(f"{header} clear bytes before byte {run[0]}")
                self.longest_header = max(self.longest_header, header)
                self["headers of slices, tiles, frames"] += header
                at = run[1]
            if at != end:
                raise Fault(f"a slice or tile is clear from byte {at} to {end}")
            others -= end - start
        if left:
            raise Fault(f"bytes {left[0][0]}..{left[0][1]} are protected, and no slice or tile")
        self["lengths, parameter sets, messages"] += others


CODECS = ("avc1", "avc3", "dva1", "dvav", "hvc1", "hev1", "dvh1", "dvhe", "av01", "dav1", "vp09", "vp08")


def judge_mp4(data, clear, ledger, lead=False):
    """A rendition: init segment and segments in one. `clear` has its tracks' samples."""
    top = [Node(data, box) for box in walk(data)]
    known = tracks(data, next(node for node in top if node.type == b"moov"))
    named, begun = [], set()
    left = {track: iter(samples) for track, samples in clear.items()}
    for moof in (node for node in top if node.type == b"moof"):
        for number, sample in enumerate(fragment_samples(data, moof, known), 1):
            at = f"moof at byte {moof.start}: sample {number}"
            named.append((sample.start, sample.end))
            source = next(left[sample.track.id], None)
            if source is None:
                raise Fault(f"{at}: the source has no such sample")
            try:
                if sample.protection and sample.protection.protected:
                    begun.add(sample.track.id)
                    ledger.sample(sample, data, source)
                    continue
                if data[sample.start:sample.end] != source:
                    raise Fault("a clear sample is another one than the source's")
                is_text = sample.track.handler not in (b"vide", b"soun")
                if not is_text and (not lead or sample.track.id in begun):
                    raise Fault("a clear sample of a track that is to be protected")
                ledger["text" if is_text else "clear lead"] += len(source)
            except Fault as fault:
                raise Fault(f"{at}: {fault}") from None
    if any(next(samples, None) is not None for samples in left.values()):
        raise Fault("the source has more samples")
    cover([(box.payload, box.end) for box in top if box.type == b"mdat"], named)


def cover(spaces, named):
    """Every byte of every space has one name."""
    named, at = sorted(x for x in named if x[0] < x[1]), 0
    for start, end in sorted(spaces):
        while start < end:
            if at == len(named) or named[at][0] != start or named[at][1] > end:
                raise Fault(f"byte {start} of mdat belongs to no sample, or to two")
            start, at = named[at][1], at + 1
    if at != len(named):
        raise Fault(f"a sample at byte {named[at][0]} lies in no mdat")


# Transport streams and packed audio.

def elementary_streams(data):
    """The stream_type and the data of all PES packets of each PID that the program map names."""
    packets, payloads_of, map_pid, types = [data[i:i + 188] for i in range(0, len(data), 188)], {}, None, {}
    for packet in packets:
        if packet[0] != 0x47 or len(packet) != 188:
            raise Fault("no packets of a transport stream")
        pid, control = int.from_bytes(packet[1:3], "big") & 0x1fff, packet[3] >> 4 & 3
        start = 4 + (1 + packet[4] if control & 2 else 0)
        payload = packet[start:] if control & 1 else b""
        if not payload:
            continue
        begins = bool(packet[1] & 0x40)
        if pid == 0 and begins:
            section = payload[1 + payload[0]:]
            map_pid = int.from_bytes(section[10:12], "big") & 0x1fff
        elif pid == map_pid and begins:
            section = payload[1 + payload[0]:]
            end = 3 + (int.from_bytes(section[1:3], "big") & 0xfff) - 4
            at = 12 + (int.from_bytes(section[10:12], "big") & 0xfff)
            while at < end:
                types[int.from_bytes(section[at + 1:at + 3], "big") & 0x1fff] = section[at]
                at += 5 + (int.from_bytes(section[at + 3:at + 5], "big") & 0xfff)
        # Tables of other kinds have the PIDs below 0x20.
        elif 0x20 <= pid < 0x1fff and pid != map_pid:
            units = payloads_of.setdefault(pid, [])
            if begins:
                units.append(bytearray())
            units[-1] += payload
    for pid, units in payloads_of.items():
        stream = b"".join(bytes(unit[9 + unit[8]:]) for unit in units)
        yield types.get(pid), stream


def byte_stream_units(stream):
    codes = [match.start() for match in re.finditer(b"\0\0\1", stream)]
    for code, behind in zip(codes, codes[1:] + [len(stream)]):
        yield stream[code + 3:behind].rstrip(b"\0")


def unescape(unit):
    return re.sub(b"\0\0\3", b"\0\0", unit)


def same_but(found, clear, blocks, ledger, rest):
    """`found` is `clear` but for these blocks, each another one."""
    expected, count = bytearray(clear), 0
    for at in blocks:
        if found[at:at + BLOCK] == clear[at:at + BLOCK]:
            raise Fault(f"block at byte {at} is to be encrypted, and is that of the source")
        expected[at:at + BLOCK] = found[at:at + BLOCK]
        count += BLOCK
    if bytes(expected) != found:
        raise Fault("a byte that is not encrypted is another one than the source's")
    ledger["encrypted"] += count
    ledger[rest] += len(clear) - count


def judge_pictures(found, clear, ledger):
    found, clear = list(byte_stream_units(found)), list(byte_stream_units(clear))
    if len(found) != len(clear):
        raise Fault(f"{len(found)} NAL units, the source has {len(clear)}")
    for number, (unit, source) in enumerate(zip(found, clear), 1):
        try:
            if source[0] & 31 in (1, 5) and len(source) > 48:
                blocks = [at for at in range(32, len(source), 10 * BLOCK) if len(source) - at > BLOCK]
                same_but(unescape(unit), source, blocks, ledger, "clear part of a slice: leader, pattern, last bytes")
            elif unit != source:
                raise Fault("it is to be clear, and is another one than the source's")
            else:
                short = source[0] & 31 in (1, 5)
                ledger["slices of 48 bytes and less" if short else "lengths, parameter sets, messages"] += len(source)
        except Fault as fault:
            raise Fault(f"NAL unit {number}: {fault}") from None


def judge_frames(found, clear, ledger):
    """Frames of ADTS: header and 16 bytes clear, then whole blocks."""
    if len(found) != len(clear):
        raise Fault(f"{len(found)} bytes of frames, the source has {len(clear)}")
    at = 0
    while at < len(clear):
        if clear[at:at + 3] == b"ID3":
            size = sum((clear[at + 6 + i] & 0x7f) << 7 * (3 - i) for i in range(4)) + 10
            same_but(found[at:at + size], clear[at:at + size], [], ledger, "tags")
        else:
            size = int.from_bytes(clear[at + 3:at + 6], "big") >> 5 & 0x1fff
            leader = (7 if clear[at + 1] & 1 else 9) + 16
            blocks = [b for b in range(leader, size, BLOCK) if b + BLOCK <= size]
            same_but(found[at:at + size], clear[at:at + size], blocks, ledger, "clear part of a frame: header, leader, last bytes")
        at += size


def judge_ts(data, clear, ledger):
    found, source = list(elementary_streams(data)), list(elementary_streams(clear))
    if len(found) != len(source):
        raise Fault(f"{len(found)} streams, the source has {len(source)}")
    for (kind, stream), (clear_kind, clear_stream) in zip(found, source):
        if (clear_kind, kind) == (0x1b, 0xdb):
            judge_pictures(stream, clear_stream, ledger)
        elif (clear_kind, kind) == (0x0f, 0xcf):
            judge_frames(stream, clear_stream, ledger)
        else:
            raise Fault(f"stream_type {kind}, of the source {clear_kind}")


def judge_packed_audio(data, clear, ledger):
    """The first tag of the output has the audio setup information; what is behind it is frames."""
    def behind(stream):
        return 10 + sum((stream[6 + i] & 0x7f) << 7 * (3 - i) for i in range(4)) if stream[:3] == b"ID3" else 0
    judge_frames(data[behind(data):], clear[behind(clear):], ledger)


def judge_whole(data, clear, ledger):
    if len(data) != (len(clear) // BLOCK + 1) * BLOCK:
        raise Fault(f"{len(data)} bytes, the source has {len(clear)}")
    for at in range(0, len(clear) - BLOCK + 1, BLOCK):
        if data[at:at + BLOCK] == clear[at:at + BLOCK]:
            raise Fault(f"block at byte {at} is that of the source")
    ledger["encrypted"] += len(data)


# Jobs.

def pack(source, out, *options):
    run = subprocess.run([DRM_PACK, "pack", source, "--out", out, "--dev-keys", "coverage", *options],
                         capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{source} {' '.join(options)}: {run.stderr}")


def presentation(manifest):
    """Kind and bytes of each rendition."""
    read = chain.dash if manifest.suffix == ".mpd" else chain.hls
    return [(kind, b"".join(parts)) for kind, parts in read(manifest)]


def by_track(data):
    return {number: samples for number, (_, samples) in source_samples(data).items()}


def judge_package(source, out, ledger, lead):
    for (kind, found), (_, clear) in zip(presentation(out), presentation(source), strict=True):
        if b"moov" not in clear[:2000]:
            if kind != "text" or found != clear:
                raise Fault(f"{kind} that is neither MP4 nor the text of the source")
            ledger["text"] += len(clear)
            continue
        judge_mp4(found, by_track(clear), ledger, lead)


def judge_file(source, out, ledger, lead):
    """Each track of the file is a rendition of its own, pictures before sound."""
    clear = sorted(source_samples(source.read_bytes()).values(), key=lambda track: track[0] != b"vide")
    found = sorted(presentation(out), key=lambda rendition: rendition[0] != "video")
    for (_, data), (_, samples) in zip(found, clear, strict=True):
        judge_mp4(data, {1: samples}, ledger, lead)


def judge_segments(source, out, ledger, judge):
    for path in sorted(source.parent.rglob("*")):
        if path.suffix in (".ts", ".aac", ".m4s"):
            judge((out.parent / path.relative_to(source.parent)).read_bytes(), path.read_bytes(), ledger)


def packed_audio(folder):
    """The sound of the transport stream as packed audio: RFC 8216bis §3.1.3."""
    owner = b"com.apple.streaming.transportStreamTimestamp\0"
    frame = b"PRIV" + (len(owner) + 8).to_bytes(4, "big") + b"\0\0" + owner + (126000).to_bytes(8, "big")
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:4"]
    for number in range(2):
        stream = next(s for kind, s in elementary_streams((CLIP / f"hls-ts/{number}.ts").read_bytes()) if kind == 0x0f)
        tag = b"ID3\4\0\0\0\0\0" + bytes([len(frame)]) + frame
        (folder / f"{number}.aac").write_bytes(tag + stream)
        lines += ["#EXTINF:4,", f"{number}.aac"]
    (folder / "audio.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    return folder / "audio.m3u8"


def with_text(folder):
    """The HLS clip with subtitles beside it."""
    shutil.copytree(CLIP / "hls", folder, dirs_exist_ok=True)
    (folder / "0.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:02.000\nclear\n")
    (folder / "t.m3u8").write_text("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\n0.vtt\n#EXT-X-ENDLIST\n")
    master = folder / "master.m3u8"
    master.write_text(master.read_text() + '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="t",NAME="t",URI="t.m3u8"\n')
    return master


def jobs(work):
    """Name, source, options, the manifest of the output, and what judges it."""
    def package(name, source, scheme, *options, lead=False):
        return (f"{name} {scheme}", source, ("--drm", "widevine", "--scheme", scheme, *options), source.name,
                lambda s, o, ledger: judge_package(s, o, ledger, lead))

    def file(name, scheme, *options, lead=False):
        return (f"{name} {scheme}", CLIP / name, ("--drm", "widevine", "--scheme", scheme, *options), "manifest.mpd",
                lambda s, o, ledger: judge_file(s, o, ledger, lead))
    lead = ("--clear-lead", "2")
    for scheme in SCHEMES:
        for name in ("dash", "dash-segment-base", "dash-segment-list"):
            yield package(name, CLIP / name / "manifest.mpd", scheme)
        for name in ("mp4/av.mp4", "mp4/av_faststart.mp4", "mp4/av_frag.mp4"):
            yield file(name, scheme)
        for path in sorted((CLIP / "codecs").glob("*.mp4")):
            if path.stem != "vp9" or scheme in ("cenc", "cens"):
                yield file(f"codecs/{path.name}", scheme)
    for scheme in ("cenc", "cbcs"):
        yield package("hls with text", with_text(work / f"text-{scheme}"), scheme)
        yield package("hls-byterange", CLIP / "hls-byterange/master.m3u8", scheme)
        yield package("dash, clear lead, keys that change", CLIP / "dash/manifest.mpd", scheme, *lead, "--rotate-every", "1", lead=True)
        yield package("hls-byterange, keys that change", CLIP / "hls-byterange/master.m3u8", scheme, "--rotate-every", "1")
        yield file("mp4/av.mp4", scheme, "--layout", "single-file", "--segment-duration", "2", *lead, lead=True)
    segments = lambda judge: lambda s, o, ledger: judge_segments(s, o, ledger, judge)
    whole = ("--drm", "simpleaes", "--key-uri", "https://keys.example/{kid}")
    yield "hls-ts SAMPLE-AES", CLIP / "hls-ts/index.m3u8", ("--drm", "fairplay"), "index.m3u8", segments(judge_ts)
    (work / "aac").mkdir()
    yield "packed audio SAMPLE-AES", packed_audio(work / "aac"), ("--drm", "fairplay"), "audio.m3u8", segments(judge_packed_audio)
    yield "hls-ts AES-128", CLIP / "hls-ts/index.m3u8", whole, "index.m3u8", segments(judge_whole)
    yield "hls AES-128", CLIP / "hls/master.m3u8", whole, "master.m3u8", segments(judge_whole)


# Faults that must be found.

def restored(source, out):
    """A segment as it is in the source."""
    name = next(path.relative_to(source.parent) for path in sorted(source.parent.rglob("*")) if path.suffix in (".m4s", ".ts", ".aac"))
    shutil.copyfile(source.parent / name, out.parent / name)


def first_segment(out):
    return next(path for path in sorted(out.parent.rglob("*.m4s")))


def one_block(source, out):
    """One encrypted block as it is in the source: the last of the segment, of the last sample."""
    path = first_segment(out)
    found, clear = bytearray(path.read_bytes()), (source.parent / path.relative_to(out.parent)).read_bytes()
    found[-BLOCK:] = clear[-BLOCK:]
    path.write_bytes(found)


def grown(_, out):
    """Bytes in the mdat that no sample names."""
    path = first_segment(out)
    data = path.read_bytes()
    mdat = [box for box in walk(data) if box.type == "mdat"][-1]
    size = (mdat.end - mdat.start + 100).to_bytes(4, "big")
    path.write_bytes(data[:mdat.start] + size + data[mdat.start + 4:mdat.end] + bytes(100) + data[mdat.end:])


def unnamed(_, out):
    """A traf whose type is another one."""
    path = first_segment(out)
    path.write_bytes(path.read_bytes().replace(b"traf", b"uraf", 1))


def clear_subsample(_, out):
    """The first protected run of the first sample is said to be clear."""
    path = first_segment(out)
    data = bytearray(path.read_bytes())
    at = data.find(b"senc") + 12 + 8 + 2
    clear, protected = int.from_bytes(data[at:at + 2], "big"), u32(data, at + 2)
    data[at:at + 6] = (clear + protected).to_bytes(2, "big") + bytes(4)
    path.write_bytes(data)


FAULTS = {
    "dash cenc": (restored, one_block, grown, unnamed, clear_subsample),
    "hls-ts SAMPLE-AES": (restored,),
    "packed audio SAMPLE-AES": (restored,),
    "hls-ts AES-128": (restored,),
    "hls AES-128": (restored,),
}


def main():
    total, failures, planted = Ledger(), [], 0
    with tempfile.TemporaryDirectory() as work:
        work, count = pathlib.Path(work), 0
        for name, source, options, manifest, judge in jobs(work):
            out, count, ledger = work / f"out-{count}", count + 1, Ledger()
            pack(source, out, *options)
            try:
                judge(source, out / manifest, ledger)
                if "-v" in sys.argv:
                    print(f"{name}: {sum(ledger.values()):,} bytes, {ledger['encrypted']:,} encrypted")
            except Fault as fault:
                failures.append(f"{name}: {fault}")
            total.update(ledger)
            total.longest_header = max(total.longest_header, ledger.longest_header)
            for plant in FAULTS.get(name, ()):
                broken = work / f"broken-{count}-{plant.__name__}"
                shutil.copytree(out, broken)
                plant(source, broken / manifest)
                planted += 1
                try:
                    judge(source, broken / manifest, Ledger())
                    failures.append(f"{name}: a planted fault was not found: {plant.__doc__}")
                except (Fault, KeyError, SystemExit):
                    pass
            shutil.rmtree(out)
    print(f"{count} outputs, {sum(total.values()):,} bytes of media:")
    for rule, bytes_ in total.most_common():
        print(f"  {bytes_:>12,} {rule}")
    print(f"longest header of a slice or tile: {total.longest_header} bytes; {planted} planted faults")
    for failure in failures:
        print(failure)
    print(f"coverage: {len(failures)} failures" if failures else "coverage: every byte is accounted for")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
