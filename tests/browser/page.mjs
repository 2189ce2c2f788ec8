// The page itself: keyboard, colors, accessibility, and what it says when something goes wrong.

import { createServer } from "node:http";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { choose, until } from "./playback.mjs";
import { start } from "./server.mjs";

const CLICK_TO_PICTURE_MILLISECONDS = 3000;
const CHOSEN = "cbcs-preset1/manifest.mpd";
const axe = (here) => readFileSync(join(here, "node_modules/axe-core/axe.min.js"), "utf8");

const playing = (seen) => seen.error || seen.time > 0.2;
const result = (seen, ...checks) => ({ seen, wrong: checks.filter(([fine]) => !fine).map(([, text]) => text) });
const says = (seen, pattern) => [pattern.test(seen.error), `the page says ${JSON.stringify(seen.error)}, expected ${pattern}`];


/** The server of a test that stops it, over the same folder. */
async function another(page, { media }, path = CHOSEN) {
  const server = await start([], media);
  await page.goto(server.url);
  await page.waitForFunction(() => window.drmPack?.state.server.manifests);
  await choose(page, path, "shaka");
  return server;
}

export const TESTS = {
  async "plays within 3 s of the click and shows keys and scheme"(page, { packs }) {
    await choose(page, CHOSEN, "shaka");
    await page.locator("#play").click();
    const seen = await until(page, (seen) => seen.error || (seen.took && seen.shown.length > 2));
    const kids = Object.values(packs.find(({ name }) => name === "cbcs-preset1").keys).flat();
    return { note: `playing after ${(seen.took / 1000).toFixed(2)} s`, ...result(seen,
      [seen.took < CLICK_TO_PICTURE_MILLISECONDS, `playing after ${seen.took} ms`],
      [kids.length === 3 && kids.every((kid) => seen.shown.includes(kid)), `key ids shown: ${seen.shown}`],
      [seen.scheme === "cbcs", `scheme shown: ${seen.scheme}`]) };
  },

  async "is used by keyboard alone"(page) {
    // From the top: the chosen presentation, the next one, the player, Play.
    const focused = () => page.evaluate(() => document.activeElement.name || document.activeElement.id);
    await page.keyboard.press("Tab");
    const first = await focused();
    await page.keyboard.press("ArrowDown");
    const name = await page.locator("[name=presentation]:checked").inputValue();
    await page.keyboard.press("Tab");
    const second = await focused();
    await page.keyboard.press("Tab");
    const third = await focused();
    await page.keyboard.press("Enter");
    const seen = await until(page, playing);
    return { note: name, ...result(seen, [!seen.error, seen.error],
      [`${first} ${second} ${third}` === "presentation player play", `focus went to ${first}, ${second}, ${third}`],
      [seen.time > 0, "nothing was played"]) };
  },

  async "has no serious findings of axe-core, light and dark"(page, { here }) {
    const wrong = [];
    let rules = 0;
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await choose(page, CHOSEN, "shaka");
      await page.locator("#play").click();
      const seen = await until(page, (seen) => seen.error || seen.time > 2);
      if (seen.error) wrong.push(seen.error);
      await page.evaluate(() => window.drmPack.video.pause());
      await page.screenshot({ path: join(here, `page-${colorScheme}.png`), fullPage: true });
      await page.locator("details:not([open])").evaluateAll((all) => all.forEach((details) => { details.open = true; }));
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      if ((ground === "rgb(246, 247, 248)") !== (colorScheme === "light")) wrong.push(`${colorScheme}: ground ${ground}`);
      await page.evaluate(axe(here));
      const found = await page.evaluate(() => window.axe.run());
      rules += found.passes.length;
      for (const { id, impact, nodes } of found.violations) {
        if (["serious", "critical"].includes(impact)) wrong.push(`${colorScheme}: ${id} at ${nodes.map((node) => node.target).join(", ")}`);
      }
    }
    return { wrong, note: `${rules} rules passed` };
  },

  async "fits a narrow window"(page, { here }) {
    await page.setViewportSize({ width: 390, height: 844 });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    await page.screenshot({ path: join(here, "page-narrow.png"), fullPage: true });
    return { wrong: width > 390 ? [`${width} px wide`] : [], note: `${width} px` };
  },

  async "says that the server was stopped in mid-play"(page, facts) {
    const server = await another(page, facts);
    try {
      await page.locator("#play").click();
      const before = await until(page, playing);
      await server.stop();
      const seen = await until(page, (seen) => seen.error);
      return { note: seen.error, mayLeave: true, ...result(seen, [!before.error, before.error], says(seen, /^The server at \S+ does not answer any more/)) };
    } finally {
      await server.stop();
    }
  },

  async "says that a segment is missing"(page, { media }) {
    const broken = join(media, "broken");
    cpSync(join(media, "cenc-preset0"), broken, { recursive: true });
    for (const track of ["v1", "v2"]) rmSync(join(broken, track, "2.m4s"));
    await page.reload();
    await page.waitForFunction(() => window.drmPack?.state.server.manifests);
    const wrong = [];
    let note;
    for (const [path, player] of [["broken/manifest.mpd", "shaka"], ["broken/manifest.mpd", "dashjs"], ["broken/master.m3u8", "hlsjs"]]) {
      await choose(page, path, player);
      await page.locator("#play").click();
      const seen = await until(page, (seen) => seen.error && (note = seen.error));
      if (!/^A segment is missing: \/media\/broken\/v\d\/2\.m4s\.$/.test(seen.error)) wrong.push(`${player}: ${JSON.stringify(seen.error)}`);
    }
    rmSync(broken, { recursive: true });
    return { wrong, note };
  },

  async "says that a key is not of this server"(page, facts) {
    // Another seed, and a presentation of which only the media are here.
    const { media } = facts;
    const server = await start(["--seed", "another"], join(media, "cenc-preset1"));
    try {
      await page.goto(`${server.url}`);
      await page.waitForFunction(() => window.drmPack?.state.server.manifests);
      await choose(page, "manifest.mpd", "shaka");
      await page.locator("#play").click();
      const seen = await until(page, (seen) => seen.error);
      return { note: seen.error, mayLeave: true, ...result(seen, says(seen, /key is not the one/)) };
    } finally {
      await server.stop();
    }
  },

  async "says why no license came"(page) {
    await page.route("**/clearkey", (route) => route.fulfill({ status: 403, body: "this server did not issue the key 1" }));
    const wrong = [];
    let note;
    for (const [path, player] of [[CHOSEN, "shaka"], [CHOSEN, "dashjs"], ["cbcs-preset1/master.m3u8", "hlsjs"]]) {
      await choose(page, path, player);
      await page.locator("#play").click();
      const seen = await until(page, (seen) => seen.error && (note = seen.error));
      if (!/^The key server gave no license: this server did not issue/.test(seen.error)) wrong.push(`${player}: ${JSON.stringify(seen.error)}`);
    }
    return { wrong, note };
  },

  async "says that the codec is not supported"(page, { media }) {
    const other = join(media, "other-codec");
    cpSync(join(media, "cenc-preset0"), other, { recursive: true });
    const mpd = join(other, "manifest.mpd");
    writeFileSync(mpd, readFileSync(mpd, "utf8").replaceAll(/avc1\.[0-9a-f]+/g, "dvh1.05.06"));
    await page.reload();
    await page.waitForFunction(() => window.drmPack?.state.server.manifests);
    await choose(page, "other-codec/manifest.mpd", "shaka");
    await page.locator("#play").click();
    const seen = await until(page, (seen) => seen.error);
    rmSync(other, { recursive: true });
    return { note: seen.error, ...result(seen, says(seen, /^This browser cannot play the codec of this presentation \(dvh1/)) };
  },

  async "plays from another origin and says when that one forbids it"(page, { media }) {
    let allow = true;
    const origin = createServer((request, response) => {
      if (allow) response.setHeader("Access-Control-Allow-Origin", "*");
      try {
        response.end(readFileSync(join(media, "cenc-preset0", new URL(request.url, "http://x").pathname)));
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));
    const manifest = `http://127.0.0.1:${origin.address().port}/manifest.mpd`;
    const open = async () => {
      if (!(await page.locator("#own").evaluate((details) => details.open))) await page.locator("#own summary").click();
      await page.locator("#own-url").fill(manifest);
      await page.locator("#own-form button").click();
    };
    try {
      await open();
      await page.waitForURL(/manifest=/);
      await page.waitForFunction(() => window.drmPack?.state.playing);
      const plays = await until(page, playing);
      allow = false;
      await open();
      const seen = await until(page, (seen) => seen.error);
      return { note: seen.error, mayLeave: true, ...result(seen, [!plays.error && plays.time > 0, `not played: ${plays.error}`], says(seen, /CORS/)) };
    } finally {
      origin.close();
    }
  },
};
