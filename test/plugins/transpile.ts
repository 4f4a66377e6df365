import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as ts from 'typescript';

export const repoRoot = path.join(__dirname, '../..');

/**
 * Compiles the plugins as they are now into a directory of their own, so that a test never meets an older `bin`.
 * Returns the root of the compiled tree.
 */
export function transpilePlugins(): string {
  const outDir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-plugins-'));
  for (const folder of ['components/ssh', 'scripts/plugins']) {
    for (const file of fs.readdirSync(path.join(repoRoot, folder), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      const source = fs.readFileSync(path.join(repoRoot, folder, file), 'utf8');
      const { outputText } = ts.transpileModule(source, {
        compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, esModuleInterop: true },
      });
      const target = path.join(outDir, folder, file.replace(/\.ts$/, '.js'));
      fs.mkdirSync(path.dirname(target), { recursive: true });
      fs.writeFileSync(target, outputText);
    }
  }
  fs.symlinkSync(path.join(repoRoot, 'node_modules'), path.join(outDir, 'node_modules'));
  return outDir;
}
