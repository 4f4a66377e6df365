import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as ts from 'typescript';

export const repoRoot = path.join(__dirname, '../..');

export const transpilePlugins = () => transpile(['components/ssh', 'scripts/plugins']);

/**
 * Compiles files, the files of folders, and all that they import, as they are now, into a directory of their own, so that
 * a test never meets an older `bin`. Returns the root of the compiled tree.
 */
export function transpile(paths: string[]): string {
  const outDir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-plugins-'));
  const done = new Set<string>();
  const compile = (file: string): void => {
    if (done.has(file)) return;
    done.add(file);
    const source = fs.readFileSync(path.join(repoRoot, file), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, esModuleInterop: true },
    });
    const target = path.join(outDir, file.replace(/\.ts$/, '.js'));
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, outputText);
    // Of the output: what is imported for its types alone is not in it.
    for (const [, name] of outputText.matchAll(/require\(['"](\.[^'"]*)['"]\)/g)) {
      const imported = path.join(path.dirname(file), name);
      const found = [`${imported}.ts`, path.join(imported, 'index.ts')].find((one) =>
        fs.existsSync(path.join(repoRoot, one)),
      );
      if (found !== undefined) compile(found);
    }
  };
  for (const one of paths) {
    const below = one.endsWith('.ts')
      ? [one]
      : fs
          .readdirSync(path.join(repoRoot, one), { recursive: true, encoding: 'utf8' })
          .map((name) => path.join(one, name));
    for (const file of below) if (file.endsWith('.ts')) compile(file);
  }
  fs.symlinkSync(path.join(repoRoot, 'node_modules'), path.join(outDir, 'node_modules'));
  return outDir;
}
