// Looks at reports in a real browser: light, dark and printed, on a phone and on a wide screen, with the keyboard alone and
// without scripts; axe-core says whether everybody can read them. Screenshots go beside them. `make browser` runs it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// The tools are installed elsewhere, so that nothing of them lies among the sources.
const tools = createRequire(path.join(process.env.FLYWHEEL_BROWSER_TOOLS, 'package.json'));
const { chromium } = tools('playwright-core');
const axe = readFileSync(tools.resolve('axe-core/axe.min.js'), 'utf8');

const [output, ...pages] = process.argv.slice(2);
const looks = [
  { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 900 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 320, height: 640 }, hasTouch: true },
  { name: 'phone-dark', colorScheme: 'dark', viewport: { width: 360, height: 740 }, hasTouch: true },
];

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
try {
  for (const file of pages) {
    for (const look of looks) await seen(file, look);
    await clicked(file);
    await typed(file);
    await printed(file);
    console.log(`${file}: as it should be`);
  }
} finally {
  await browser.close();
}

/** Opens a page, hands it over, and fails if it asked for anything or complained. */
async function opened(file, options, visit) {
  const context = await browser.newContext({ ...options, bypassCSP: options.bypassCSP ?? false });
  try {
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!/^(file|data|blob):/.test(request.url())) complaints.push(`asked for ${request.url()}`);
    });
    await page.goto(pathToFileURL(file).href);
    await visit(page);
    assert.deepEqual(complaints, [], file);
  } finally {
    await context.close();
  }
}

async function seen(file, { name, ...options }) {
  // axe-core is a script, which the page itself would not let in.
  await opened(file, { ...options, bypassCSP: true }, async (page) => {
    const [wide, width] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(wide <= width, `${file}, ${name}: ${wide} pixels wide on a screen of ${width}`);
    await page.screenshot({ path: path.join(output, `${path.basename(file, '.html')}-${name}.png`), fullPage: true });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() =>
      globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
    );
    const told = violations.map((rule) => `${rule.id}: ${rule.help}\n    ${rule.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join('\n    ')}`);
    assert.equal(violations.length, 0, `${file}, ${name}:\n  ${told.join('\n  ')}`);
  });
}

/** Every link leads to something that is seen then; a mark of the time leads to an entry. */
async function clicked(file) {
  await opened(file, { viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', javaScriptEnabled: true }, async (page) => {
    const links = await page.locator('a[href^="#"]').evaluateAll((all) => [...new Set(all.map((link) => link.getAttribute('href')))]);
    assert.ok(links.length > 8, `${links.length} links`);
    for (const link of links) assert.equal(await page.locator(`[id="${link.slice(1)}"]`).count(), 1, link);
    for (const link of [page.locator('nav a').last(), page.locator('.mark a').first(), page.locator('.way a').first()]) {
      if ((await link.count()) === 0) continue;
      const target = (await link.getAttribute('href')).slice(1);
      await link.click();
      await page.waitForURL((url) => url.hash === `#${target}`);
      const box = await page.locator(`[id="${target}"]`).boundingBox();
      assert.ok(box.y < 900 && box.y + box.height > 0, `${target} is not seen`);
    }
  });
}

/** The first key leads past what stands above; each place that has the focus shows it. */
async function typed(file) {
  await opened(file, { viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' }, async (page) => {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to what happened');
    assert.ok((await page.evaluate(() => document.activeElement.getBoundingClientRect().top)) >= 0, 'the skip link shows');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    for (let place = 0; place < 30; place += 1) {
      await page.keyboard.press('Tab');
      const focus = await page.evaluate(() => {
        const element = document.activeElement;
        const shown = [element, element.querySelector('.hit')].filter(Boolean).map((one) => getComputedStyle(one));
        return { name: element.outerHTML.slice(0, 120), body: element === document.body, marked: shown.some((style) => style.outlineStyle !== 'none' || style.stroke !== 'none') };
      });
      assert.ok(!focus.body && focus.marked, `no focus is shown on ${focus.name}`);
    }
    // A story that is under way is open from the start; what is folded is opened by a key.
    const folded = await page.$('details:not([open])');
    if (folded) {
      await (await folded.$('summary')).focus();
      await page.keyboard.press('Enter');
      assert.ok(await folded.evaluate((details) => details.open), 'Enter opens what is folded');
    }
  });
}

async function printed(file) {
  await opened(file, {}, async (page) => {
    const pdf = await page.pdf({ path: path.join(output, `${path.basename(file, '.html')}.pdf`), format: 'A4', printBackground: false });
    assert.ok(pdf.length > 10_000, 'a printed page');
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    const [paper, hidden] = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('nav')).display]);
    assert.deepEqual([paper, hidden], ['rgb(255, 255, 255)', 'none'], 'paper is white, and has no links to click');
  });
}
