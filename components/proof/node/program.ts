import { nodeBase } from './base';
import { nodeEcho } from './echo';
import { nodeMachine } from './machine';
import { nodePorts } from './ports';
import { nodeServe } from './serve';
import { nodeTunnel } from './tunnel';
import { nodeWire } from './wire';

/** The whole probe as one Python 3 program: arguments are the id of the run and its time limit in seconds. */
export const nodeProgram = [nodeBase, nodeEcho, nodeWire, nodeTunnel, nodePorts, nodeMachine, nodeServe].join('\n');
