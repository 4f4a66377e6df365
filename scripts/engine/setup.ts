import { findEngine } from './find';
import { installPlugins } from './plugins';

/** Finds or makes the engine and its plugins, and says which ones will be used. */
async function main(): Promise<void> {
  const log = (line: string) => console.log(line);
  const engine = await findEngine(log);
  const plugins = await installPlugins(engine, log);
  for (const [name, which] of Object.entries(plugins)) console.log(`${name} plugin: ${which}`);
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
