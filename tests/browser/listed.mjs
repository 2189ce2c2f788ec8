// What a player lists of a ladder, and whether it shows cues: languages, labels, roles and channels, as both manifests say them.

/** In the page: what each player calls its tracks. Cues are those of the text track that is chosen. */
const SEEN = {
  shaka: () => {
    const player = window.drmPack.state.playing.player;
    const audio = player.getVariantTracks().map((one) => [one.language, one.label ?? "", one.channelsCount, (one.audioRoles ?? []).join("+")]);
    return { audio, text: player.getTextTracks().map((one) => [one.language, one.label ?? "", one.roles.join("+")]) };
  },
  dashjs: () => {
    const player = window.drmPack.state.playing.player;
    const of = (kind) => player.getTracksFor(kind);
    const words = (one) => [one.lang, one.labels.map((label) => label.text).join()];
    const roles = (one) => one.roles.map((role) => role.value ?? role).join("+");
    const audio = of("audio").map((one) => {
      const channels = Number((one.audioChannelConfiguration[0]?.value ?? one.audioChannelConfiguration[0]) || 0);
      return [...words(one), channels, roles(one)];
    });
    return { audio, text: of("text").map((one) => [...words(one), roles(one)]) };
  },
  hlsjs: () => {
    const player = window.drmPack.state.playing.player;
    const audio = player.allAudioTracks.map((one) => [one.lang, one.name, Number(one.channels), one.characteristics ?? ""]);
    return { audio, text: player.allSubtitleTracks.map((one) => [one.lang, one.name, one.characteristics?.replaceAll(",", "+") || "subtitle"]) };
  },
};

/** In the page: chooses text by its language. */
const CHOOSE = {
  shaka: (lang) => {
    const player = window.drmPack.state.playing.player;
    const track = player.getTextTracks().find((one) => one.language === lang);
    player.selectTextTrack(track);
    player.setTextTrackVisibility?.(true);
  },
  dashjs: (lang) => {
    const player = window.drmPack.state.playing.player;
    player.setTextTrack(player.getTracksFor("text").findIndex((one) => one.lang === lang));
  },
  hlsjs: (lang) => {
    const player = window.drmPack.state.playing.player;
    player.subtitleTrack = player.subtitleTracks.findIndex((one) => one.lang === lang);
    player.subtitleDisplay = true;
  },
};

const cues = (page) => page.evaluate(() => [...window.drmPack.video.textTracks]
  .filter((track) => track.mode !== "disabled").flatMap((track) => [...track.cues ?? []].map((cue) => cue.text ?? ""))
  .concat(document.getElementById("drawn")?.textContent ?? []));

const sorted = (rows) => [...new Set(rows.map((row) => JSON.stringify(row)))].sort();

/** What was wrong: an empty list is a pass. */
export async function listed(page, { pack, kind, player }) {
  const wrong = [];
  const seen = await page.evaluate(SEEN[player]);
  for (const type of ["audio", "text"]) {
    const [found, expected] = [seen[type], pack.lists[kind][type]].map(sorted);
    if (found.join() !== expected.join()) wrong.push(`${type}: ${found.join(" ")}, expected ${expected.join(" ")}`);
  }
  for (const [lang, text] of Object.entries(pack.lists.cues)) {
    await page.evaluate(CHOOSE[player], lang);
    let shown = [];
    for (let tries = 0; tries < 50 && !shown.some((cue) => cue.includes(text)); tries += 1) {
      await page.waitForTimeout(100);
      shown = await cues(page);
    }
    // A cue is in every segment of HLS in which it is shown, and seen once: RFC 8216bis §3.1.4.
    if (kind === "hls") {
      await page.waitForTimeout(1500);
      shown = await cues(page);
      const times = shown.filter((cue) => cue.includes(text)).length;
      if (times > 1) wrong.push(`cue ${JSON.stringify(text)} in ${lang} is there ${times} times`);
    }
    if (!shown.some((cue) => cue.includes(text))) wrong.push(`no cue ${JSON.stringify(text)} in ${lang}: ${JSON.stringify(shown.slice(0, 4))}`);
  }
  return wrong;
}
