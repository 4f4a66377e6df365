import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

/** A module for `node -r` that lets a plain process load the TypeScript sources, without a build. */
export const AGENT = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-agent-')), 'register.js');
fs.writeFileSync(
  AGENT,
  `const ts = require(${JSON.stringify(require.resolve('typescript'))});
   require.extensions['.ts'] = (module, file) =>
     module._compile(
       ts.transpileModule(require('fs').readFileSync(file, 'utf8'), {
         compilerOptions: { module: 'commonjs', target: 'es2022', esModuleInterop: true },
       }).outputText,
       file,
     );`,
);
afterAll(() => fs.rmSync(path.dirname(AGENT), { recursive: true, force: true }));

/** As little as the engine hands to a command. */
export function agentEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: process.env.HOME };
}
