import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

type Answer = Record<string, unknown>;
interface Message {
  id?: number;
  method?: string;
  params?: Answer;
  result?: Answer;
  error?: { message: string };
}

/** Debian's name, and those of Chrome itself and of Ubuntu. */
const NAMES = ['chromium', 'google-chrome', 'chromium-browser'];

/** Kept from asking anybody anything: what a page loads is then the page's own doing. */
const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'],
  ...['--no-first-run', '--disable-extensions', '--disable-background-networking', '--disable-component-update'],
  ...['--disable-sync', '--disable-default-apps', '--force-color-profile=srgb', '--remote-debugging-pipe'],
];

/**
 * A real browser without a window and one tab of it, spoken to by the DevTools protocol over a pair of pipes (JSON messages
 * that end with a zero byte): no port, no client library.
 */
export class Browser {
  /** Addresses that the tab has asked for. */
  readonly requests: string[] = [];
  /** What the console and the browser itself complained about. */
  readonly complaints: string[] = [];
  private readonly waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
  private readonly listeners = new Map<string, () => void>();
  private next = 0;
  private session: string | undefined;

  private constructor(
    private readonly child: ChildProcess,
    private readonly profile: string,
  ) {
    let rest = '';
    (child.stdio[4] as Readable).setEncoding('utf8').on('data', (text: string) => {
      const messages = (rest + text).split('\0');
      rest = messages.pop()!;
      for (const message of messages) this.take(JSON.parse(message) as Message);
    });
    child.on('exit', (code) => {
      for (const { reject } of this.waiting.values()) reject(new Error(`the browser ended with ${code}`));
    });
  }

  static async start(): Promise<Browser> {
    for (const name of NAMES) {
      const profile = mkdtempSync(join(tmpdir(), 'sitewright-browser-'));
      const child = spawn(name, [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], {
        stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      });
      const started = await new Promise((resolve) =>
        child.on('spawn', () => resolve(true)).on('error', () => resolve(false)),
      );
      if (started) {
        const browser = new Browser(child, profile);
        await browser.openTab();
        return browser;
      }
      rmSync(profile, { recursive: true });
    }
    throw new Error(`none of ${NAMES.join(', ')} is installed: scripts/lab/packages.sh --tests does it`);
  }

  async send(method: string, params: Answer = {}): Promise<Answer> {
    const id = (this.next += 1);
    const answer = new Promise<Answer>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    const message = { id, method, params, ...(this.session === undefined ? {} : { sessionId: this.session }) };
    (this.child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    return answer;
  }

  /** Opens a page and waits until all of it is there. */
  async open(address: string): Promise<void> {
    this.requests.length = 0;
    const loaded = new Promise<void>((resolve) => this.listeners.set('Page.loadEventFired', resolve));
    await this.send('Page.navigate', { url: address });
    await loaded;
  }

  async look(width: number, height: number, theme: 'light' | 'dark'): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: theme }] });
  }

  /** What a function of the page gives back; it sees nothing of this process. */
  async evaluate<T>(inPage: () => T): Promise<T> {
    const answer = await this.send('Runtime.evaluate', { expression: `(${inPage.toString()})()`, returnByValue: true });
    if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails));
    return (answer.result as { value: T }).value;
  }

  async press(key: 'Tab' | 'Enter'): Promise<void> {
    const code = { Tab: 9, Enter: 13 }[key];
    const event = { key, code: key, windowsVirtualKeyCode: code, ...(key === 'Enter' ? { text: '\r' } : {}) };
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...event });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  }

  /** The whole page, not only what a window of this size would show of it. */
  async screenshot(): Promise<Buffer> {
    const { cssContentSize } = await this.send('Page.getLayoutMetrics');
    const clip = { ...(cssContentSize as object), scale: 1 };
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, clip });
    return Buffer.from(data as string, 'base64');
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.child.on('exit', resolve));
    this.session = undefined;
    this.send('Browser.close').catch(() => undefined);
    await ended;
    // Its helpers write for a moment longer.
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
  }

  private async openTab(): Promise<void> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    this.session = sessionId as string;
    for (const domain of ['Page', 'Network', 'Log', 'Runtime', 'Accessibility']) await this.send(`${domain}.enable`);
  }

  private take({ id, method, params, result, error }: Message): void {
    if (id !== undefined) {
      const waiting = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) waiting?.resolve(result ?? {});
      else waiting?.reject(new Error(error.message));
    } else if (method === 'Network.requestWillBeSent') {
      this.requests.push((params as { request: { url: string } }).request.url);
    } else if (method === 'Log.entryAdded') {
      this.complaints.push((params as { entry: { text: string } }).entry.text);
    } else if (method === 'Runtime.exceptionThrown') {
      this.complaints.push(JSON.stringify(params));
    } else if (method !== undefined) {
      this.listeners.get(method)?.();
    }
  }
}
