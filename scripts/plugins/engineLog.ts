import * as grpc from '@grpc/grpc-js';
import { EngineClient } from '@pulumi/pulumi/proto/engine_grpc_pb';
import { LogRequest, LogSeverity } from '@pulumi/pulumi/proto/engine_pb';

export type Severity = 'info' | 'warning';

const severities = { info: LogSeverity.INFO, warning: LogSeverity.WARNING };

/** Sends lines to the engine that started the plugin, in order; the engine shows them with the resource. */
export class EngineLog {
  private client: EngineClient | undefined;
  private last: Promise<void> = Promise.resolve();

  /** Address of the engine; a plugin that was started by hand has none, and its lines go nowhere. */
  connect(address: string): void {
    this.client = new EngineClient(address, grpc.credentials.createInsecure());
  }

  /** An ephemeral line is status: shown while the step runs, not kept in the summary. */
  write(urn: string, severity: Severity, message: string, ephemeral: boolean): void {
    const client = this.client;
    if (!client) return;
    const request = new LogRequest();
    request.setUrn(urn);
    request.setSeverity(severities[severity]);
    request.setMessage(message);
    request.setEphemeral(ephemeral);
    // A line that cannot be delivered must not fail the work it reports on.
    this.last = this.last.then(() => new Promise((resolve) => client.log(request, () => resolve())));
  }

  /** Resolves when everything written so far has arrived: an answer must not overtake its own lines. */
  flush(): Promise<void> {
    return this.last;
  }
}
