import { appendFileSync } from 'node:fs';
import type { Message } from 'google-protobuf';
import { PluginServer } from '../../scripts/plugins/base';
import { commandPlugin } from '../../scripts/plugins/command/plugin';
import { serve } from '../../scripts/plugins/serve';
import { toPlain, type Exchange } from './transcriptCodec';

/**
 * The command plugin as the engine starts it, with every exchange written as one line of JSON to the file that
 * SITEWRIGHT_TRANSCRIPT names.
 */

type Callback = (error: { details: string } | null, answer?: Message) => void;
type Handlers = Record<string, (call: { request: Message }, callback: Callback) => void>;

const file = process.env.SITEWRIGHT_TRANSCRIPT as string;
const service = PluginServer.prototype.service;
PluginServer.prototype.service = function recording(this: PluginServer) {
  const handlers = service.call(this) as unknown as Handlers;
  const recorded = Object.entries(handlers).map(([method, handle]): [string, Handlers[string]] => [
    method,
    (call, callback) =>
      handle(call, (error, answer) => {
        const outcome = error === null ? { answer: toPlain(answer!) } : { error: error.details };
        const exchange: Exchange = { method, request: toPlain(call.request), ...outcome };
        appendFileSync(file, `${JSON.stringify(exchange)}\n`);
        callback(error, answer);
      }),
  ]);
  return Object.fromEntries(recorded) as unknown as ReturnType<PluginServer['service']>;
};

void serve(commandPlugin, process.argv.slice(2));
