import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BundleError } from '../../components/bundle/parse';
import { goModule, sourceFolder } from './goParts';
import type { Part } from './parts';
import { runProgram } from './program';

/** What else of Calico's Go module goes into a bundle, beside its programs. */
const TAKEN = ['manifests/calico.yaml', 'manifests/calico-typha.yaml', 'node/filesystem'];

/** Fetching the module takes a minute where it is not on this machine yet. */
const TIMEOUT_SECONDS = 900;

/** The release manifests (manifests/) and the files of calico-node's image (node/filesystem/), from the Go module. */
export function calicoFilesPart(version: string): Part {
  const { module, version: moduleVersion } = goModule('calico', version);
  return {
    name: 'calico-files',
    recipe: { module, moduleVersion, taken: TAKEN },
    async make(out, log) {
      log(`calico ${version}: files of its Go module`);
      // Go holds the module against go.sum.
      const folder = path.join(sourceFolder, 'calico');
      const said = await runProgram('go', ['mod', 'download', '-json', module], {
        cwd: folder,
        env: { GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local', GOWORK: 'off' },
        timeoutSeconds: TIMEOUT_SECONDS,
      });
      const found = JSON.parse(said) as { Dir: string; Version: string };
      if (found.Version !== `v${moduleVersion}`) {
        throw new BundleError(`${folder}/go.mod has ${module} ${found.Version}, and v${moduleVersion} is planned`);
      }
      for (const name of TAKEN) {
        const target = path.join(out, name);
        await fs.mkdir(path.dirname(target), { recursive: true });
        await runProgram('cp', ['-R', path.join(found.Dir, name), target], { timeoutSeconds: TIMEOUT_SECONDS });
      }
      // Go keeps its modules read-only, and nobody could remove a copy of such a folder.
      await runProgram('chmod', ['-R', 'u+w', out], { timeoutSeconds: TIMEOUT_SECONDS });
      return {};
    },
  };
}
