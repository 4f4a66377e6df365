import * as grpc from '@grpc/grpc-js';
import { ResourceProviderService } from '@pulumi/pulumi/proto/provider_grpc_pb';
import { PluginServer, type Plugin } from './base';

/** Inputs may carry whole scripts and the engine itself allows this much. */
const maxMessageBytes = 400 * 1024 * 1024;

/** How often to look whether the engine is still there, and how long to let commands end after it has gone. */
const watchIntervalMs = 500;
const endGraceMs = 7000;

/**
 * Runs a plugin as the engine expects it: listens on loopback, prints the port as the first line of standard output and
 * serves until it is killed. Where the engine dies first, running commands are ended too: the next run must not meet them.
 * @param args the command line: the engine's address, and flags that are none of ours.
 */
export async function serve(plugin: Plugin, args: string[]): Promise<void> {
  const engine = process.ppid;
  const server = new PluginServer(plugin);
  const address = args.find((arg) => /^[^-].*:\d+$/.test(arg));
  if (address) server.log.connect(address);

  const grpcServer = new grpc.Server({ 'grpc.max_receive_message_length': maxMessageBytes });
  grpcServer.addService(ResourceProviderService, server.service());
  const port = await new Promise<number>((resolve, reject) =>
    grpcServer.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );

  let ending = false;
  const end = (reason: string) => {
    if (ending) return;
    ending = true;
    server.cancel(reason);
    grpcServer.tryShutdown(() => process.exit(0));
    setTimeout(() => process.exit(1), endGraceMs).unref();
  };
  // The engine gives each plugin a process group of its own, interrupts it when it is done and kills it 5 s later:
  // a Ctrl-C in the terminal arrives as the engine's Cancel and not here.
  process.on('SIGINT', () => end('the engine has finished'));
  process.on('SIGTERM', () => end('the plugin was told to stop'));
  setInterval(() => process.ppid !== engine && end('the engine has gone'), watchIntervalMs).unref();

  process.stdout.write(`${port}\n`);
}
