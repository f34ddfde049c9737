// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { load } from '../../src/detector.js';
import { ready } from '../../src/engine/index.js';
import { UserError } from '../../src/errors.js';
import { exportModel } from '../../src/export/index.js';
import { encodeQuery, predict, type RunningServer, serve } from '../../src/serving/index.js';
import { generateScene } from '../../src/train/data/scenes/index.js';
import { encodePng } from '../../src/viz/overlay.js';
import { smallConfig, smallScaleMaeDetConfig } from '../models/small_config.js';
import { writeUntrained, writeUntrainedModel } from '../untrained_model.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-client-'));
const at = (name: string) => join(root, name);
const servers: Record<string, RunningServer> = {};
let png: Buffer;

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  writeUntrainedModel(at('model'), 1, smallConfig('token-sigmoid'));
  const source = await load(at('model'));
  const common = { size: 64, check: false } as const;
  await exportModel(source, at('files'), { ...common, input: 'encoded', tokens: 16 });
  await exportModel(source, at('pixels'), { ...common, prompts: ['white ships', 'planes'] });
  source.dispose();
  const metres = smallScaleMaeDetConfig();
  metres.detector.leastScore = 0.01;
  writeUntrained(at('counting'), metres);
  const counting = await load(at('counting'));
  await exportModel(counting, at('metres'), { ...common, input: 'encoded' });
  counting.dispose();
  for (const name of ['files', 'pixels', 'metres']) servers[name] = await serve(at(name), { port: 0 });
  png = await encodePng(generateScene(5, { size: 64 }).image);
});

afterAll(async () => {
  await Promise.all(Object.values(servers).map((server) => server.close()));
  rmSync(root, { recursive: true, force: true });
});

const options = (name: string) => ({ assets: at(`${name}/assets`), threshold: 0.001 });

describe('predict', () => {
  it('finds through the server what the library finds, with the words of the query', async () => {
    const query = 'The white SHIPS, or a plane';
    const found = await predict(servers.files!.url, png, query, options('files'));
    const model = await load(at('model'));
    const expected = await model.detect(png, query, { threshold: 0.001 });
    expect(found.length).toBeGreaterThan(0);
    expect(found.map(({ phrase }) => phrase)).toEqual(expected.phrases);
    found.forEach(({ box, score }, i) => {
      expect(score).toBeCloseTo(expected.scores[i]!, 4);
      box.forEach((side, axis) => {
        expect(side).toBeCloseTo(expected.boxes[i]![axis]!, 2);
      });
    });
    model.dispose();
  });

  it('sends pixels where the model takes them, in the pixels of the file, and names phrases', async () => {
    const large = await encodePng(generateScene(5, { size: 128 }).image);
    const found = await predict(servers.pixels!.url, large, null, options('pixels'));
    expect(found.length).toBeGreaterThan(0);
    for (const { box, phrase } of found) {
      expect(['white ships', 'planes']).toContain(phrase);
      for (const side of box) expect(side >= 0 && side <= 128).toBe(true);
    }
    expect(Math.max(...found.flatMap(({ box }) => box))).toBeGreaterThan(64);
  });

  it.each(['files', 'pixels'])(
    'turns pictures as their EXIF says, and sends what is read: %s',
    async (name) => {
      const query = name === 'files' ? 'white ships' : null;
      const plain = await predict(servers[name]!.url, png, query, options(name));
      // Lying on its side, with the word that it does.
      const turned = await sharp(png).rotate(-90).toBuffer();
      const lying = await sharp(turned).withMetadata({ orientation: 6 }).webp({ lossless: true }).toBuffer();
      expect(await predict(servers[name]!.url, lying, query, options(name))).toEqual(plain);
      expect(plain.length).toBeGreaterThan(0);
    },
  );

  it('sends the ground size of the pixels, which grow where the picture does not fit', async () => {
    const large = await encodePng(generateScene(5, { size: 128 }).image);
    const model = await load(at('counting'));
    const ask = (given: object) =>
      predict(servers.metres!.url, large, null, { ...options('metres'), ...given });
    for (const metresPerPixel of [0.15, 2]) {
      const found = await ask({ metresPerPixel });
      const own = await model.detect(large, [], { scale: 0.5, metresPerPixel, threshold: 0.001 });
      expect(found.length).toBeGreaterThan(0);
      const sure = own.scores.filter((score) => score > 0.02);
      expect(sure.length).toBeGreaterThan(0);
      sure.forEach((score, i) => {
        expect(found[i]!.score).toBeCloseTo(score, 4);
      });
    }
    expect(await ask({})).toEqual(await ask({ metresPerPixel: 0.3 }));
    expect(await ask({})).not.toEqual(await ask({ metresPerPixel: 0.15 }));
    await expect(ask({ metresPerPixel: 0 })).rejects.toThrow(/metres per pixel above 0/);
    model.dispose();
  });

  it("gives a query as inputs for requests of one's own", async () => {
    const { input_ids, attention_mask } = await encodeQuery('a plane', at('files/assets'));
    const tokens = attention_mask.filter((each) => each === 1).length;
    expect(tokens).toBeGreaterThan(2);
    expect([input_ids.length, attention_mask.length]).toEqual([16, 16]);
    const { padding } = JSON.parse(readFileSync(at('files/assets/tfgeo.json'), 'utf8')) as {
      padding: number;
    };
    expect(input_ids.slice(tokens).every((id) => id === padding)).toBe(true);
    await expect(encodeQuery('a plane', at('pixels/assets'))).rejects.toThrow(/no query/);
  });

  it('answers mistakes in one line', async () => {
    const mistake = async (promise: Promise<unknown>) => {
      const error = await promise.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(UserError);
      return (error as UserError).message;
    };
    const { url } = servers.files!;
    expect(await mistake(predict(url, png, null, options('files')))).toContain('empty');
    expect(await mistake(predict(url, png, 'ship '.repeat(40), options('files')))).toMatch(/at most 16/);
    expect(await mistake(predict(url, Buffer.from('no picture'), 'ships', options('files')))).toMatch(
      /cannot be read/,
    );
    const cutOff = png.subarray(0, png.length / 2);
    expect(await mistake(predict(url, cutOff, 'ships', options('files')))).toMatch(/answers 400/);
    expect(await mistake(predict(servers.pixels!.url, png, 'ships', options('pixels')))).toContain(
      'no query',
    );
    expect(await mistake(predict(`${url}x`, png, 'ships', options('files')))).toMatch(
      /answers 404.*not found/,
    );
    expect(
      await mistake(predict('http://127.0.0.1:9/v1/models/x', png, 'ships', options('files'))),
    ).toContain('does not answer');
    expect(await mistake(predict(url, png, 'ships', { assets: at('nowhere') }))).toContain('tfgeo.json');
  });
});
