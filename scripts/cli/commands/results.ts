import { Command } from 'commander';

export function resultCommands(): Command[] {
  return [new Command('verify'), new Command('outputs')];
}
