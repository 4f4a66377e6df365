import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as ts from 'typescript';

export const repoRoot = path.join(__dirname, '../..');

export const transpilePlugins = () => transpile(['components/ssh', 'scripts/plugins']);

/**
 * Compiles folders and files as they are now into a directory of their own, so that a test never meets an older `bin`.
 * Returns the root of the compiled tree.
 */
export function transpile(paths: string[]): string {
  const outDir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-plugins-'));
  for (const one of paths) {
    const below = one.endsWith('.ts')
      ? ['']
      : fs.readdirSync(path.join(repoRoot, one), { recursive: true, encoding: 'utf8' });
    for (const file of below.map((name) => path.join(one, name))) {
      if (!file.endsWith('.ts')) continue;
      const source = fs.readFileSync(path.join(repoRoot, file), 'utf8');
      const { outputText } = ts.transpileModule(source, {
        compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, esModuleInterop: true },
      });
      const target = path.join(outDir, file.replace(/\.ts$/, '.js'));
      fs.mkdirSync(path.dirname(target), { recursive: true });
      fs.writeFileSync(target, outputText);
    }
  }
  fs.symlinkSync(path.join(repoRoot, 'node_modules'), path.join(outDir, 'node_modules'));
  return outDir;
}
