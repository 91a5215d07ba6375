// A server that speaks as much of S3 as samples need.
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server with S3's HEAD, GET, DELETE, and a PUT that leaves existing objects. */
export class Bucket {
  readonly objects = new Map<string, Buffer>();
  /** The header of each object that says its digest. */
  readonly sums = new Map<string, string | undefined>();
  readonly asked: string[] = [];
  isBroken = false;
  /** The number of writes that others are said to disturb. */
  conflicts = 0;
  #server: HttpServer | undefined;

  async start(): Promise<string> {
    this.#server = createServer((request, response) => {
      const { method = '', url = '' } = request;
      const [path = ''] = url.split('?');
      this.asked.push(`${method} ${path}`);
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const known = this.objects.get(path);
        if (this.isBroken) response.writeHead(403).end();
        else if (path.split('/').filter((part) => part !== '').length === 1) response.writeHead(200).end();
        else if (method === 'PUT' && this.conflicts > 0) {
          --this.conflicts;
          response.writeHead(409).end();
        } else if (method === 'PUT') {
          const isKept = known !== undefined && request.headers['if-none-match'] === '*';
          if (!isKept) {
            this.objects.set(path, Buffer.concat(parts));
            this.sums.set(path, request.headers['x-amz-meta-sha256'] as string | undefined);
          }
          response.writeHead(isKept ? 412 : 200).end();
        } else if (method === 'DELETE') {
          this.objects.delete(path);
          response.writeHead(204).end();
        } else if (known === undefined) response.writeHead(404).end();
        else {
          const sum = this.sums.get(path);
          response
            .writeHead(200, { 'content-length': known.length, ...(sum !== undefined && { 'x-amz-meta-sha256': sum }) })
            .end(method === 'GET' ? known : undefined);
        }
      });
    });
    await new Promise<void>((resolve) => this.#server!.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server!.closeAllConnections();
    await new Promise((resolve) => this.#server!.close(resolve));
  }
}
