// The matrix: what is packed, and what plays it. A new feature is a line here.

const CLIP = ["fixtures/clip/mp4/video_360.mp4", "fixtures/clip/mp4/video_180.mp4", "fixtures/clip/mp4/audio.m4a"];
const BOTH = { dash: ["shaka", "dashjs"], hls: ["shaka", "hlsjs"] };
// dash.js asks for licenses by cenc:default_KID alone, which an MPD with changing keys must not have (DASH-IF IOP 6).
const ROTATED = { dash: ["shaka"], hls: ["shaka", "hlsjs"] };
// Whole segments in AES-128; the key file lies beside the playlists because the test says so.
const SEED = ["--dev-keys", "browser"];
const AES_128 = ["--drm", "simpleaes", "--write-key-file", "{out}/{kid}.key"];
// Shaka Player holds the length of the decrypted bytes, which have no padding, against the range it asked for.
const RANGES = { hls: ["hlsjs"] };
const TS = ["-nostdin", "-v", "error", "-y", "-i", CLIP[1], "-i", CLIP[2], "-map", "0:v", "-map", "1:a", "-c", "copy", "-f", "hls",
  "-hls_time", "2", "-hls_playlist_type", "vod", "-master_pl_name", "master.m3u8", "-hls_segment_filename", "{clear}/%d.ts", "{clear}/index.m3u8"];

// FFmpeg's CMAF with both manifests; the folder is the input.
const CMAF = ["-nostdin", "-v", "error", "-y", "-i", CLIP[1], "-i", CLIP[2], "-map", "0:v", "-map", "1:a", "-c", "copy", "-f", "dash",
  "-seg_duration", "2", "-hls_playlist", "1", "-hls_master_name", "master.m3u8", "{clear}/manifest.mpd"];
// Sample encryption in transport streams: the key that FairPlay would bring comes by URI, with its IV. Shaka Player
// refuses it outside Safari (its error 4040).
const IDENTITY = { kid: "0123456789abcdef0123456789abcdef", key: "00112233445566778899aabbccddeeff", iv: "a5010203040506070809a0b0c0d0e0f0" };
const FAIRPLAY = ["--drm", "fairplay", "--key-file", "{out}.keys"];

// A ladder of five pictures in four containers (SDR, HLG, HDR10) with two languages, stereo and 5.1, and text of two
// formats; long enough that players go on loading when text is chosen.
const PICTURE = (size) => ["-f", "lavfi", "-i", `testsrc2=s=${size}:r=25:d=30`];
const SOUND = (hertz) => ["-f", "lavfi", "-i", `sine=f=${hertz}:d=30`];
const AVC = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-sc_threshold", "0", "-pix_fmt", "yuv420p"];
const HDR = (transfer) => ["-c:v", "libvpx-vp9", "-profile:v", "2", "-deadline", "realtime", "-cpu-used", "8", "-g", "50", "-keyint_min", "50",
  "-pix_fmt", "yuv420p10le", "-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc"];
const LADDER = ["-nostdin", "-v", "error", "-y", ...PICTURE("320x180"), ...PICTURE("480x270"), ...PICTURE("640x360"), ...SOUND(300), ...SOUND(400),
  "-map", "0:v", ...AVC, "{clear}/180.mp4", "-map", "1:v", "-map", "3:a", ...AVC, "-ac", "2", "{clear}/270.mov",
  "-map", "2:v", "-map", "4:a", ...AVC, "-c:a", "aac", "-ac", "2", "{clear}/360.ts", "-map", "0:v", ...HDR("arib-std-b67"), "{clear}/hlg.webm",
  "-map", "0:v", ...HDR("smpte2084"), "{clear}/pq.webm", "-map", "3:a", "-ac", "6", "{clear}/en6.m4a", "-map", "4:a", "-ac", "6", "{clear}/fr6.m4a"];
const LADDER_FILES = ["180.mp4", "270.mov", "360.ts", "hlg.webm", "pq.webm", "en6.m4a", "fr6.m4a", "en.vtt", "de.ttml"];
const TEXTS = {
  "en.vtt": "WEBVTT\n\n00:00.500 --> 00:29.000\nGood evening.\n",
  "de.ttml": '<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="de"><head><layout><region xml:id="r"/></layout></head><body region="r"><div>'
    + '<p begin="00:00:00.500" end="00:00:29.000">Guten Abend.</p></div></body></tt>',
};
const LISTS = {
  cues: { en: "Good evening.", de: "Guten Abend." },
  dash: {
    audio: [["en", "English", 2, "main"], ["en", "English", 6, "main"], ["fr", "Français", 2, "dub"], ["fr", "Français", 6, "dub"]],
    text: [["en", "English", "subtitle"], ["de", "Deutsch", "caption"]],
  },
  hls: {
    audio: [["en", "English", 2, ""], ["en", "English", 6, ""], ["fr", "Français", 2, ""], ["fr", "Français", 6, ""]],
    text: [["en", "English", "subtitle"], ["de", "Deutsch", "public.accessibility.transcribes-spoken-dialog+public.accessibility.describes-music-and-sound"]],
  },
};
const SAID = ["a1:lang=eng,label=English", "a2:lang=fra,label=Français,role=dub", "a3:lang=en,label=English", "a4:lang=fr,label=Français,role=dub", "t1:label=English", "t2:label=Deutsch,role=caption"];

// Video with a key frame each second, and sprites of 2 by 2 tiles, one a second.
const FAST = ["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=40", "-map", "0:v", "-c:v", "libx264",
  "-preset", "ultrafast", "-g", "25", "-sc_threshold", "0", "-pix_fmt", "yuv420p", "{clear}/video.mp4",
  "-map", "0:v", "-vf", "fps=1,scale=32:18,tile=2x2", "{clear}/%d.jpg"];

/**
 * name: folder under the media; pack: arguments of `drm-pack pack`; players: by kind of manifest;
 * rotates: there are more keys than the report names; withoutLicense: keys come by URI (AES-128);
 * prepare: arguments of FFmpeg that make the input in {clear}; keys: where keys come from;
 * fast: thumbnails and trick play are tried in Shaka Player, for these kinds of manifest;
 * files: texts that are written into {clear}; lists: what players list of it, and cues that they show;
 * identity: the key in {out}.keys, which the playlists are made to name with KEYFORMAT="identity". */
export const PACKS = [
  { name: "cenc-preset0", input: CLIP, pack: ["--drm", "widevine+playready+clearkey", "--scheme", "cenc"], players: BOTH },
  { name: "cenc-preset1", input: CLIP, pack: ["--drm", "widevine+playready+clearkey", "--scheme", "cenc", "--preset", "preset1"], players: BOTH },
  { name: "cbcs-preset0", input: CLIP, pack: ["--drm", "widevine+playready+fairplay+clearkey", "--scheme", "cbcs"], players: BOTH },
  { name: "cbcs-preset1", input: CLIP, pack: ["--drm", "widevine+playready+fairplay+clearkey", "--scheme", "cbcs", "--preset", "preset1"], players: BOTH },
  { name: "cenc-single-file", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cenc", "--layout", "single-file"], players: BOTH },
  { name: "cbcs-single-file", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cbcs", "--layout", "single-file"], players: BOTH },
  { name: "cenc-clear-lead", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cenc", "--clear-lead", "2"], players: BOTH },
  { name: "cbcs-clear-lead", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cbcs", "--clear-lead", "2"], players: BOTH },
  { name: "cenc-rotation", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cenc", "--rotate-every", "1"], players: ROTATED, rotates: true },
  { name: "cbcs-rotation", input: CLIP, pack: ["--drm", "clearkey", "--scheme", "cbcs", "--rotate-every", "1"], players: ROTATED, rotates: true },
  { name: "aes-128-fmp4", input: ["fixtures/clip/hls/master.m3u8"], pack: AES_128, keys: SEED, players: { hls: ["hlsjs", "shaka"] }, withoutLicense: true },
  { name: "aes-128-fmp4-init", input: ["fixtures/clip/hls/master.m3u8"], pack: [...AES_128, "--encrypt-init"], keys: SEED, players: { hls: ["hlsjs", "shaka"] }, withoutLicense: true },
  { name: "aes-128-fmp4-ranges", input: ["fixtures/clip/hls-byterange/master.m3u8"], pack: AES_128, keys: SEED, players: RANGES, withoutLicense: true },
  { name: "aes-128-ts", input: ["{clear}/master.m3u8"], prepare: TS, pack: AES_128, keys: SEED, players: { hls: ["hlsjs", "shaka"] }, withoutLicense: true },
  { name: "aes-128-ts-rotation", input: ["{clear}/master.m3u8"], prepare: TS, pack: [...AES_128, "--rotate-every", "1"], keys: SEED, players: { hls: ["hlsjs", "shaka"] }, withoutLicense: true },
  { name: "cbcs-both", input: ["{clear}"], prepare: CMAF, pack: ["--drm", "widevine+playready+fairplay+clearkey"], players: { dash: ["shaka"], hls: ["hlsjs"] } },
  { name: "ladder", input: LADDER_FILES.map((name) => `{clear}/${name}`), prepare: LADDER,
    files: TEXTS, pack: ["--drm", "widevine+clearkey", "--scheme", "cenc", ...SAID.flatMap((said) => ["--track", said])], players: BOTH, lists: LISTS },
  { name: "fast", input: ["{clear}/video.mp4"], prepare: FAST, players: {}, fast: ["dash", "hls"],
    pack: ["--drm", "clearkey", "--scheme", "cbcs", "--trick-play", "--thumbnails", "{clear}/%d.jpg:2x2:1"] },
  { name: "sample-aes-ts", input: ["{clear}/master.m3u8"], prepare: TS, pack: FAIRPLAY, keys: [], identity: IDENTITY, players: { hls: ["hlsjs"] }, withoutLicense: true },
];

/** Where a key that is not the right one must fail: name of the pack, kind, player. */
export const WRONG_KEYS = [
  ["cenc-preset0", "dash", "shaka"],
  ["cenc-preset0", "dash", "dashjs"],
  ["cenc-preset0", "hls", "hlsjs"],
  ["cbcs-preset0", "dash", "shaka"],
  ["cbcs-preset0", "dash", "dashjs"],
  ["cbcs-preset0", "hls", "hlsjs"],
];

export const MANIFESTS = { dash: "manifest.mpd", hls: "master.m3u8" };
export const SECONDS = 5;
