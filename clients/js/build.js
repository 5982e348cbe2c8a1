/**
 * Builds what is not there as a plain module:
 *
 * - `dist/gotalk.js`, the classic script, which is also CommonJS; it is kept in the repository, as the daemon serves it;
 * - `dist/node.cjs`, CommonJS for Node.
 *
 *     node build.js           builds both
 *     node build.js --check   fails if `dist/gotalk.js` is not what the sources say
 */

import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';
import { minify } from 'terser';

/** Most bytes of the script, gzipped. */
export const SCRIPT_GZIP_BYTES_MAX = 8192;

/**
 * Properties that only the library itself uses, besides those that begin with an underscore: shortened in the script.
 * None of them may be a property of anything that comes from a page, a peer or the platform.
 */
const INTERNAL = [
  'abandon', 'answered', 'begin', 'carrier', 'describe', 'endBody', 'ending', 'fail', 'failed', 'feed', 'finish',
  'flush', 'granted', 'handler', 'handshaken', 'header', 'heartbeat', 'isDone', 'isIdle', 'isPending', 'kind',
  'knowsCancel', 'listener', 'lost', 'more', 'names', 'over', 'paused', 'receiver', 'room', 'settle', 'single',
  'startHeart', 'stopHeart', 'take', 'takes', 'unended', 'weigh', 'whole',
];

const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** @returns {Promise<string>} the classic script */
export async function script() {
  const { outputFiles } = await build({
    entryPoints: [at('src/global.js')],
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    minifyIdentifiers: true,
    minifySyntax: true,
    mangleProps: new RegExp(`^(_[a-z].*|${INTERNAL.join('|')})$`),
    legalComments: 'none',
    logOverride: { 'commonjs-variable-in-esm': 'silent' },
  });
  // The one bundles, the other is better at making it small.
  const { code = '' } = await minify(outputFiles[0].text, {
    ecma: 2020,
    toplevel: true,
    compress: { passes: 3, unsafe_arrows: true, pure_getters: true, keep_fargs: false, hoist_funs: true },
  });
  return code;
}

async function main() {
  const text = await script();
  const size = gzipSync(text, { level: 9 }).length;
  if (size > SCRIPT_GZIP_BYTES_MAX) throw new Error(`gotalk.js: ${size} bytes gzipped, ${SCRIPT_GZIP_BYTES_MAX} are possible`);
  if (process.argv.includes('--check')) {
    const kept = await readFile(at('dist/gotalk.js'), 'utf8');
    if (kept !== text) throw new Error('dist/gotalk.js is not what the sources say: run `node build.js`');
  } else {
    await writeFile(at('dist/gotalk.js'), text);
  }
  await build({
    entryPoints: [at('src/node/commonjs.js')],
    outfile: at('dist/node.cjs'),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    logOverride: { 'commonjs-variable-in-esm': 'silent' },
    define: { 'import.meta.url': '__url' },
    banner: { js: "const __url = require('node:url').pathToFileURL(__filename).href;" },
  });
  console.log(`dist/gotalk.js: ${text.length} bytes, ${size} gzipped`);
}

if (process.argv[1] === at('build.js')) await main();
