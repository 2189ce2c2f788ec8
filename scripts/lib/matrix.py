"""The interoperability matrix: codec x scheme x shape, each packed, then decrypted by several programs.

`matrix.py [CODEC...]` packs every clip of clips.py with every scheme as {progressive input, fragmented input,
single-file output}. Each cell is judged by

  d  our own decrypt, f  FFmpeg, s  Shaka Packager: the payload of every sample equals the source's;
  v  our verify against the source.

A cell that the standards do not allow must be refused with the reason in REFUSED, and nothing else. A judge that
cannot read a codec or scheme at all is listed in BLIND with the reason. The table is Markdown; exit code 1 when a
judge disagrees. DRM_PACK names the command, target/release/drm-pack unless set.
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

import boxes
import chain
import clips

DRM_PACK = os.environ.get("DRM_PACK", "target/release/drm-pack")
SCHEMES = ["cenc", "cbcs", "cens", "cbc1"]
SHAPES = ["progressive", "fragmented", "single-file"]
KID, KEY = "000000000000000000000000000d0000", "000000000000000000000000000e0000"
JUDGES = {"d": "decrypt", "f": "FFmpeg", "s": "Shaka Packager", "v": "verify"}

# (codec, scheme): what the error says. The standards leave these out.
REFUSED = {
    ("vp9*", "cbcs"): "VP Codec ISO Media File Format Binding",
    ("vp9*", "cbc1"): "VP Codec ISO Media File Format Binding",
}
# (judge, codec, scheme), with * for any: why the judge is not asked.
BLIND = {
    ("s", "mp3", "*"): "it cannot write MP3 in MP4, not even what was never encrypted",
    **{("f", codec, "cens"): "it decrypts the last bytes of a whole sample too, which fill no block and are clear in "
       "whole-block full sample encryption (ISO/IEC 23001-7 9.7); Shaka Packager agrees with us"
       for codec in ("aac", "opus", "flac", "alac")},
}


def looked_up(table, *key):
    """The first entry whose pattern fits; a name ends with * to stand for all that begin so."""
    for pattern, reason in table.items():
        if all(p == k or (p.endswith("*") and k.startswith(p[:-1])) for p, k in zip(pattern, key)):
            return reason
    return None


def run(*command, folder=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout, done.stderr.strip()


def packets(path, kind, *options):
    """Hash of each sample of a track, in order."""
    code, out, err = run("ffmpeg", "-nostdin", "-v", "error", "-fflags", "+ignidx", "-ignore_editlist", "1", *options,
                         "-i", path, "-map", f"0:{kind[0]}:0", "-c", "copy", "-f", "framemd5", "-")
    if code or not out:
        raise Failure(f"FFmpeg: {err.splitlines()[0] if err else 'no packets'}")
    # stream, dts, pts, duration, size, hash; side data may follow.
    return [line.split(",")[5].strip() for line in out.splitlines() if not line.startswith("#")]


class Failure(Exception):
    pass


class Cell:
    """One codec, scheme and shape."""

    def __init__(self, clip, scheme, shape, source, work):
        self.clip, self.scheme, self.shape, self.source = clip, scheme, shape, source
        self.folder = pathlib.Path(work) / f"{clip.name}.{scheme}.{shape}"
        self.folder.mkdir()
        self.keys = self.folder / "keys"
        self.keys.write_text(f"{KID}:{KEY}\n")

    def judge(self):
        """The letters of the judges that agree, or the reason why there is no output."""
        refused = looked_up(REFUSED, self.clip.name, self.scheme)
        layout = ["--layout", "single-file"] if self.shape == "single-file" else []
        code, _, err = run(DRM_PACK, "pack", self.source, "--out", self.folder / "out", "--drm", "clearkey",
                           "--scheme", self.scheme, "--format", "dash", "--resource-id", "matrix",
                           "--segment-duration", "1", "--key-file", self.keys, *layout)
        if refused:
            if code not in (2, 4) or refused not in err:
                raise Failure(f"expected a refusal with {refused!r}, exit code {code}: {err}")
            return "-"
        if code:
            raise Failure(f"pack: {err.splitlines()[0]}")
        want = packets(self.source, self.clip.kind)
        protected = self.whole("out")
        if boxes.default_kids(protected.read_bytes()) != [KID]:
            raise Failure("tenc does not have the key id")
        agreed = ""
        for letter, look in zip(JUDGES, (self.decrypt, self.ffmpeg, self.shaka, self.verify)):
            if looked_up(BLIND, letter, self.clip.name, self.scheme):
                continue
            found = look(protected)
            if found is not None and found != want:
                raise Failure(f"{JUDGES[letter]}: {self.difference(want, found)}")
            agreed += letter
        return agreed

    def whole(self, folder):
        """The one rendition of a package as one file."""
        _, parts = next(chain.dash(self.folder / folder / "manifest.mpd"))
        path = self.folder / f"{folder}.mp4"
        path.write_bytes(b"".join(parts))
        return path

    @staticmethod
    def difference(want, found):
        first = next((n for n, pair in enumerate(zip(want, found)) if pair[0] != pair[1]), min(len(want), len(found)))
        return f"{len(found)} samples of {len(want)}, sample {first + 1} is the first that differs"

    def decrypt(self, _):
        code, _, err = run(DRM_PACK, "decrypt", self.folder / "out/manifest.mpd", "--out", self.folder / "clear",
                           "--key-file", self.keys)
        if code:
            raise Failure(f"decrypt: {err.splitlines()[0]}")
        return packets(self.whole("clear"), self.clip.kind)

    def ffmpeg(self, protected):
        return packets(protected, self.clip.kind, "-decryption_key", KEY)

    def shaka(self, protected):
        out = self.folder / "shaka.mp4"
        code, _, err = run(PACKAGER, f"in={protected},stream={self.clip.kind},output={out}", "--enable_raw_key_decryption",
                           "--keys", f"label=:key_id={KID}:key={KEY}", "--temp_dir", self.folder)
        if code:
            raise Failure(f"Shaka Packager: {err.splitlines()[-1] if err else code}")
        return packets(out, self.clip.kind)

    def verify(self, _):
        code, out, err = run(DRM_PACK, "verify", self.folder / "out", "--against", self.source, "--key-file", self.keys)
        if code:
            raise Failure(f"verify: {err or out}")


def row(clip, work):
    """Every cell of a clip; failures in words."""
    folder = pathlib.Path(work) / "clips"
    sources = clips.make(clip, folder)
    cells, failures = {}, []
    for scheme in SCHEMES:
        for shape in SHAPES:
            try:
                cells[scheme, shape] = Cell(clip, scheme, shape, sources[shape], work).judge()
            except Failure as failure:
                cells[scheme, shape] = "FAIL"
                failures.append(f"{clip.name} {scheme} {shape}: {failure}")
    return clip, cells, failures


def main():
    global PACKAGER
    wanted = sys.argv[1:]
    rows = [clip for clip in clips.CLIPS if not wanted or any(clip.name.startswith(name) for name in wanted)]
    if not rows:
        raise SystemExit(f"no clip is called {' or '.join(wanted)}")
    code, out, _ = run("scripts/peers", "packager")
    if code:
        raise SystemExit("Shaka Packager is not there: scripts/peers install")
    PACKAGER = out.strip()
    with tempfile.TemporaryDirectory() as work:
        (pathlib.Path(work) / "clips").mkdir()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            done = list(pool.map(lambda clip: row(clip, work), rows))
    print(f"| codec | {' | '.join(f'{s} {shape}' for s in SCHEMES for shape in SHAPES)} |")
    print("|---" * (1 + len(SCHEMES) * len(SHAPES)) + "|")
    for clip, cells, _ in done:
        print(f"| {clip.name} | {' | '.join(cells[scheme, shape] for scheme in SCHEMES for shape in SHAPES)} |")
    print("\n" + ", ".join(f"{letter}: {name}" for letter, name in JUDGES.items()) + "; -: refused, as it must be")
    for table, title in ((REFUSED, "Refused"), (BLIND, "Not asked")):
        for key, reason in table.items():
            print(f"- {title}: {', '.join(key)}: {reason}")
    failures = [failure for _, _, failures in done for failure in failures]
    count = sum(len(cells) for _, cells, _ in done)
    print("\n".join(failures))
    print(f"{count - len(failures)} cells agree, {len(failures)} do not")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
