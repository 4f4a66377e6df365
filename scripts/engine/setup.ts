import { findEngine, type Engine } from './find';
import { installPlugins, PluginMissingError, requireVspherePlugin } from './plugins';

/** Finds or makes the engine and its plugins, and says which ones will be used. */
async function main(): Promise<void> {
  const log = (line: string) => console.log(line);
  const engine = await findEngine(log);
  const plugins = await installPlugins(engine, log);
  for (const [name, which] of Object.entries({ ...plugins, vsphere: await vspherePlugin(engine, log) }))
    console.log(`${name} plugin: ${which}`);
}

/** Without it there are no sites on vSphere and no test that runs one, and all else works. */
async function vspherePlugin(engine: Engine, log: (line: string) => void): Promise<string> {
  try {
    require.resolve('@pulumi/vsphere');
    await requireVspherePlugin(engine, log);
    return 'official';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return 'none, nor the package @pulumi/vsphere';
    if (error instanceof PluginMissingError) return 'none, it cannot be downloaded';
    throw error;
  }
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
