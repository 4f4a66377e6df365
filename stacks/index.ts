import { program } from './program';

/** Entry point of plain `pulumi up`: what the program returns are the outputs of the stack. */
export = program;
